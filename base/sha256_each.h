// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 of many messages side by side, one in each lane of the vector registers: several times as
// fast as one after the other where a processor has no instructions for SHA-256, twice where it
// has. It is libipsec-mb's on x86-64, and elsewhere GnuTLS's, one by one.
#pragma once

#include <span>

#include "base/bytes.h"

namespace ckptseal {

// digests[i] is that of messages[i]; as many of the one as of the other, and any number. Messages
// have at most 32 KiB each (a limit of the library).
void sha256_each(std::span<const ByteView> messages, std::span<Digest> digests);

}  // namespace ckptseal
