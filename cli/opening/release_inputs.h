// SPDX-License-Identifier: Apache-2.0
//
// What a release policy may want of the command line: approvals at hand, the tickets that the TPM
// gave for them, and the PIN. The parent finds and opens it, the helper reads it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "keymgr/tpm2/tpm_identity.h"
#include "provisioning/state.h"

namespace ckptseal {

// Of that file; empty for standard input, beside which nothing lies.
std::string folder_of(const std::string& file);

class ReleaseInputs {
 public:
  // Approvals are the files *.approval in approvals/ of the state folder and beside the sealed
  // file; `beside` is its folder, or empty. Code::usage when there are absurdly many.
  static Result<ReleaseInputs> find(const State& state, const std::string& beside);

  // In the helper. `pin` is asked at most once.
  ReleaseHelp help(std::function<Result<Secret>()> pin) const;
  std::vector<int> descriptors() const;  // what that needs

 private:
  struct File {
    std::string path;
    Bytes content;
  };
  Status add_folder(const std::string& folder, bool must_open);

  std::vector<File> approvals_;
  std::vector<std::string> refusals_;  // of those that could not be read
  std::shared_ptr<UniqueFd> tickets_;  // none: nothing is remembered
};

}  // namespace ckptseal
