// SPDX-License-Identifier: Apache-2.0
//
// One process of a user at a time in the tokens of a PKCS #11 module. SoftHSM 2 empties the file of
// a token at each login, gives its own lock back, and only then writes the content: whoever reads
// in between, which C_Initialize already does with every token, finds it damaged or not at all. So
// the lock is the module's and is taken before that.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/fd.h"

namespace ckptseal {

class ModuleLock {
 public:
  static constexpr std::chrono::milliseconds standard_patience{60'000};

  // For files that this user alone can lock, so that no other user can keep this one waiting: /run
  // for root; for others what the system made for them there, or else a folder of their own where
  // everybody may make some.
  static std::vector<std::string> standard_folders();

  // Waits for the lock of `module`, as TokenUri::module() has it, in the first of the folders that
  // can be made and that nobody else could have written to. Where that is none it goes on without a
  // lock: a token that may fail now and then is better than one that cannot be used.
  // Code::unavailable when another holds it for longer than `patience`. The lock goes with this
  // object or its process.
  static Result<ModuleLock> take(const std::string& module,
                                 const std::vector<std::string>& folders = standard_folders(),
                                 std::chrono::milliseconds patience = standard_patience);

 private:
  explicit ModuleLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace ckptseal
