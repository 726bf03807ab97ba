// SPDX-License-Identifier: Apache-2.0
//
// Where a passphrase, the password of a key file or a recovery key comes from: a descriptor that
// the user names, or the terminal. The parent opens it, the helper reads it, so that it is in the
// helper alone.
#pragma once

#include <string_view>

#include "base/fd.h"
#include "base/secret.h"

namespace ckptseal {

class PassphraseSource {
 public:
  // `named_fd` is --passphrase-fd, or -1: the terminal. Code::failed when there is neither.
  static Result<PassphraseSource> open(int named_fd);

  int fd() const { return fd_; }
  // In the helper. From a descriptor: its next line. From the terminal: asked for as `what`,
  // without echo, and with `confirm` a second time. Code::usage when it is empty, too long, or not
  // the same twice.
  Result<Secret> read(std::string_view what, bool confirm) const;

 private:
  UniqueFd terminal_;
  int fd_ = -1;
};

}  // namespace ckptseal
