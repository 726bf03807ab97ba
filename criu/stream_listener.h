// SPDX-License-Identifier: Apache-2.0
//
// In the helper: the one connection of CRIU, and the parent's word on it.
#pragma once

#include "base/fd.h"
#include "criu/stream_control.h"
#include "sealing/helper.h"

namespace ckptseal {

// Waits for CRIU to connect; only root or this user may. Before enter_sandbox().
Result<UniqueFd> accept_stream(int listener, HelperChannel& channel);

// `total` bytes of content, 0 if that is not known.
StreamControl control_of(HelperChannel& channel, std::uint64_t total);

}  // namespace ckptseal
