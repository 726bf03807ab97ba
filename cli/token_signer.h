// SPDX-License-Identifier: Apache-2.0
//
// A signature by the token of a host that has no TPM. A child loads the token's module and reads
// the PIN, so that neither is in the process that drives CRIU; and it can be ended when the token
// hangs, while the tasks of a dump stand still.
#pragma once

#include <chrono>

#include "provisioning/state.h"

namespace ckptseal {

// Code::unavailable when it takes longer than `timeout`; else as HostToken::sign().
Result<EcdsaSignature> sign_by_token(const HostTokenState& token, const Digest& digest,
                                     std::chrono::milliseconds timeout);

}  // namespace ckptseal
