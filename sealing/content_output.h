// SPDX-License-Identifier: Apache-2.0
//
// Where verified content goes: a pipe, or a file, in which what is not stored stays a hole.
// docs/format.md, "Chunks", chunks of zeros.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

class ContentOutput {
 public:
  // `fd` stays the caller's and is written from its current position on.
  static Result<ContentOutput> from_here_on(int fd);

  Status write(ByteView bytes);
  // As write() of zeros, which `zeros` are; where it can be, none of them are written.
  Status write_hole(ByteView zeros);
  // After the last of the content.
  Status finish();

 private:
  ContentOutput(int fd, bool has_holes) : fd_(fd), has_holes_(has_holes) {}

  int fd_;
  bool has_holes_;
  bool ends_in_hole_ = false;
};

}  // namespace ckptseal
