// SPDX-License-Identifier: Apache-2.0
//
// How the outside reaches a stream that is captured or served: an action script of CRIU says when
// CRIU is through, and the loop that watches the pipes must hear of it. docs/criu-stream.md, "The
// end".
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"

namespace ckptseal {

struct StreamControl {
  // Polled for reading; it stays the caller's. -1: nobody asks, and the stream cannot succeed.
  int fd = -1;
  // Called when `fd` can be read, or its other end is gone: reads what is there and says whether
  // CRIU now waits in its hook (post-dump, post-restore). An error ends the stream.
  std::function<Result<bool>()> finish_asked;
  // Bytes of content so far, now and then; may be empty.
  std::function<Status(std::uint64_t done)> progress;
};

// More pipes at once are refused. A dump has had 11, a restore 3 and a few for each process.
inline constexpr std::size_t most_open_when_captured = 64;
inline constexpr std::size_t most_open_when_served = 512;

}  // namespace ckptseal
