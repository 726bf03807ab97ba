// SPDX-License-Identifier: Apache-2.0
//
// The paper with a new recovery key: printed by the helper, which alone has the key, before a file
// with its slot is there, so that no slot has a key that nobody was shown. What fails behind that
// leaves a paper that opens nothing, and the parent has to say so. docs/recovery.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "keymgr/recovery/recovery.h"

namespace ckptseal {

class RecoveryPaper {
 public:
  // To be printed to `fd`, which stays the caller's.
  static Result<std::shared_ptr<RecoveryPaper>> make(int fd);

  // In the helper: what stands on it, and once nothing else can be refused, that it is printed.
  // Without a key nothing is.
  Status write(const RecoveryKey& key);
  Status print();
  std::vector<int> descriptors() const { return {fd_, printed_.write_end.get()}; }

  // In the parent, when there will be no slot with that key: a sentence, empty if nothing was
  // printed.
  std::string in_vain();

 private:
  RecoveryPaper(int fd, Pipe printed) : fd_(fd), printed_(std::move(printed)) {}

  int fd_;
  Pipe printed_;  // takes the recovery id, once it has been printed
  RecoveryId id_{};
  std::optional<Secret> text_;
};

}  // namespace ckptseal
