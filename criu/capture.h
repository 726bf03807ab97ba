// SPDX-License-Identifier: Apache-2.0
//
// The dump side of CRIU's image stream: reads all images of a dump, each from its own pipe, into a
// sink, and says whether the dump is whole. One thread, a buffer for each open image, and
// back-pressure by not reading. docs/criu-stream.md, "Dump".
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "criu/stream_control.h"

namespace ckptseal {

// Where the images of a dump go. Several are open at once.
class ImageSink {
 public:
  class Image {
   public:
    virtual ~Image() = default;
    virtual MutableByteView space() = 0;       // never empty; valid until put()
    virtual Status put(std::size_t size) = 0;  // so many bytes are in space()
    virtual Status finish() = 0;               // the image is complete; may have no byte
  };

  virtual ~ImageSink() = default;
  // The image must not outlive the sink.
  virtual Result<std::unique_ptr<Image>> open(const std::string& name) = 0;
};

struct CaptureReport {
  std::uint64_t images = 0;
  std::uint64_t bytes = 0;
};

// `connection` is CRIU's, its peer checked; it stays the caller's and open. Success: `control`
// asked for the end while CRIU waits in post-dump, every image reached its end, and inventory.img
// is whole and was the last that was asked for. Then, and only then, may the sink's file be
// completed. Code::failed for everything else, an aborted dump
// (cause ECONNRESET) among it; all pipes are closed then,
// at which CRIU gives up and the tasks live on.
Result<CaptureReport> capture(int connection, const StreamControl& control, ImageSink& sink);

}  // namespace ckptseal
