// SPDX-License-Identifier: Apache-2.0
//
// One user of a TPM at a time: a software TPM has room for three objects and no resource manager,
// so two that use it at once get in each other's way without noticing.
#pragma once

#include <chrono>
#include <string>

#include "base/fd.h"

namespace ckptseal {

class TpmLock {
 public:
  static constexpr std::chrono::milliseconds standard_patience{60'000};

  // Makes the file `path` if it is not there, and waits for its lock. Code::unavailable when
  // another holds it for longer than `patience`. The lock goes with this object or its process.
  static Result<TpmLock> take(const std::string& path,
                              std::chrono::milliseconds patience = standard_patience);

 private:
  explicit TpmLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace ckptseal
