// SPDX-License-Identifier: Apache-2.0
//
// The lock of an open file, waited for no longer than one may: flock(2) has no time limit.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"

namespace ckptseal {

// True once this process alone holds the lock (LOCK_EX) of `fd`, which goes with the last
// descriptor of that opening; false when another still held it after `patience`, 0 for one try.
// `what` names the file in errors.
Result<bool> lock_file(int fd, std::chrono::milliseconds patience, const std::string& what);

}  // namespace ckptseal
