// SPDX-License-Identifier: Apache-2.0
//
// The restore side of CRIU's image stream: gives CRIU the images it asks for, each through its own
// pipe, no byte before its chunk was verified, and vetoes the restore unless everything was.
// docs/criu-stream.md, "Restore".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "criu/stream_control.h"

namespace ckptseal {

// Where the images of a restore come from.
class ImageSource {
 public:
  class Image {
   public:
    virtual ~Image() = default;
    // The next bytes, verified, in pages of their own (base/page_buffer.h); empty at the end, when
    // all of the image was. Valid until the next call of next() or give_back().
    virtual Result<ByteView> next() = 0;
    // What next() has returned last stays as it is until let_go(), which is for what was kept
    // first. Its pages serve nothing else until then, nor ever when the image goes first.
    virtual void keep() = 0;
    virtual void let_go() = 0;
    // Gives up the memory of what next() has returned last and was not kept; the same comes again,
    // verified anew. Its pages serve nothing else.
    virtual void give_back() = 0;
  };

  virtual ~ImageSource() = default;
  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  // From its first byte, each time anew. Call it for what it contains; the image must not outlive
  // the source.
  virtual Result<std::unique_ptr<Image>> open(const std::string& name) = 0;
};

struct ServeOutcome {
  // Success: `control` asked for the end while CRIU waits in post-restore, and every byte of every
  // image was verified, also of those that CRIU did not ask for or not read. Code::integrity when
  // one is not as it has to be; Code::failed when CRIU is gone (cause ECONNRESET) or sends what it
  // must not.
  Status status;
  // The pipes that were not written to their end. CRIU takes the end of a pipe for the end of its
  // image, so they MUST stay open until CRIU and its children are killed or, after success, have
  // ended.
  std::vector<UniqueFd> pipes;
  std::uint64_t bytes = 0;  // given to CRIU
};

// `connection` is CRIU's, its peer checked. It stays the caller's, who keeps it open as long as the
// pipes, for one may be in it still. SIGPIPE must be ignored, as in run_in_helper().
[[nodiscard]] ServeOutcome serve(int connection, const StreamControl& control, ImageSource& source);

}  // namespace ckptseal
