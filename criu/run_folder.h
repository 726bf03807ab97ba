// SPDX-License-Identifier: Apache-2.0
//
// The folder of one run of CRIU: in memory, closed to everybody else, and gone afterwards; that of
// a run which was killed goes with the next one. docs/criu.md, "Folder".
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"

namespace ckptseal {

class RunFolder {
 public:
  // Makes a new one below the first of `bases` that is a tmpfs and lets it, and removes there what
  // killed runs of this user have left. Code::failed when there is no such base.
  static Result<RunFolder> make(const std::vector<std::string>& bases = {"/run", "/dev/shm"});

  RunFolder(RunFolder&& other) noexcept = default;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();  // with all that is in it

  const std::string& path() const { return path_; }

 private:
  RunFolder(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;  // the folder itself; its lock says that the run lives
};

}  // namespace ckptseal
