// SPDX-License-Identifier: Apache-2.0
//
// How the helper gives up what it does not need. Two steps, because a TPM is reached by new
// descriptors: before anything of a file is parsed, and before the first byte of content.
// docs/threat-model.md, "The helper".
#pragma once

#include <span>

#include "base/result.h"

namespace ckptseal {

// Step 1: no core files, not dumpable, no new privileges, memory locked as far as the limits allow,
// no descriptor but 0 to 2 and `keep`, and no way to run a program, trace another process or change
// mounts and kernel.
Status harden_process(std::span<const int> keep);

// Step 2, before content: no user, group or capability of root, and by seccomp nothing but reading,
// writing, memory and the settings of pipes that come over a socket that is open already: no new
// file, no network, no process. Whatever tries is killed with SIGSYS.
Status enter_sandbox();

}  // namespace ckptseal
