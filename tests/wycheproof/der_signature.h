// SPDX-License-Identifier: Apache-2.0
//
// Signatures as most of the vectors have them. The project itself has r || s alone.
#pragma once

#include <optional>

#include "base/crypto.h"

namespace ckptseal::test {

// Of Ecdsa-Sig-Value (RFC 3279) in strict DER; nullopt for anything else, and when a number is
// negative or does not fit into 32 bytes.
std::optional<EcdsaSignature> signature_from_der(ByteView der);

}  // namespace ckptseal::test
