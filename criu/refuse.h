// SPDX-License-Identifier: Apache-2.0
//
// What CRIU would dump and a stream cannot carry, or what nothing can: found before any task is
// touched. docs/criu.md, "Refused before the dump".
#pragma once

#include <sys/types.h>

#include "base/result.h"

namespace ckptseal {

// Looks at `root` and all below it. Code::usage with the process and what to do about it;
// Code::failed when a process cannot be looked at. One that is gone by then is passed over.
Status refuse_what_a_stream_cannot_carry(pid_t root);

}  // namespace ckptseal
