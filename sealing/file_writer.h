// SPDX-License-Identifier: Apache-2.0
//
// Writes a sealed checkpoint from front to end, to a file or a pipe alike. It makes the data key
// and is, with the reader, the only code that sees it. docs/format.md, "Writing". Chunks are
// encrypted by other threads, several at a time, which also write them where the output is a file;
// to a pipe they go in the order in which they came.
//
//   FileWriter::start(...)          data key, slots, preamble and header copies
//   add_image(name), put(...)...    chunks
//   finish(sign)                    manifest, signature, trailer
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/workers.h"
#include "sealing/chunk.h"
#include "sealing/header.h"
#include "sealing/manifest_writer.h"
#include "sealing/trailer.h"

namespace ckptseal {

struct SealOptions {
  Suite suite = Suite::aes_256_gcm;
  Content content = Content::stream;
  unsigned chunk_log2 = standard_chunk_log2;
  Digest origin{};  // identity of this host; all zero: unsigned
  std::uint64_t created = 0;
  UseLimits limits;  // not_after after `created`
};

using SignFunction = std::function<Result<EcdsaSignature>(const Digest&)>;

class FileWriter {
  // Where the bytes go: anywhere in a file, or one after the other.
  class Output {
   public:
    static Result<Output> from_here_on(int fd);
    bool is_file() const { return start_.has_value(); }
    // `offset` counts from where it began; without a file it is where the last write ended.
    Status write(ByteView bytes, std::uint64_t offset) const;
    // As if all had been written in order.
    Status leave_at(std::uint64_t offset) const;

   private:
    explicit Output(int fd) : fd_(fd) {}
    int fd_;
    std::optional<std::uint64_t> start_;
  };

 public:
  // Both descriptors stay the caller's. `output_fd` is written from its current position on and
  // need not be seekable; `spool_fd` is an empty file for ciphertext. All threads that it needs run
  // when it returns.
  static Result<FileWriter> start(int output_fd, int spool_fd, const SealOptions& options,
                                  std::span<const std::unique_ptr<Recipient>> recipients);

  class Image;
  Result<Image> add_image(std::string name);

  // All images are finished. `sign` is called once, not at all for an unsigned file.
  Status finish(const SignFunction& sign);

  const ImmutablePart& immutable() const { return immutable_; }
  std::uint64_t bytes_written() const { return offset_; }

 private:
  // A chunk on its way from an image to the file.
  struct Pending {
    std::shared_ptr<ImageCipher> cipher;
    std::uint32_t image = 0;
    std::uint64_t index = 0;
    bool last = false;
    Bytes buffer;  // of a whole chunk
    std::size_t size = 0;
    ChunkEntry entry;
    std::string name;          // of the image, if this is its last chunk
    std::uint64_t length = 0;  // the same
    std::shared_ptr<Workers::Job> job;

    ByteView stored() const;  // padded; empty for zeros
    Status encrypt();
  };

  FileWriter(const Output& output, int spool_fd, FileKeys keys, ManifestWriter manifest)
      : output_(output),
        spool_fd_(spool_fd),
        keys_(std::move(keys)),
        manifest_(std::move(manifest)) {}
  Status write(ByteView bytes);
  Status copy_manifest();
  Bytes fresh_buffer();
  Status submit(std::unique_ptr<Pending> chunk);
  Status end_first();
  Status end_until(std::size_t most_on_their_way);

  Output output_;
  int spool_fd_;
  FileKeys keys_;
  ManifestWriter manifest_;
  ImmutablePart immutable_;
  Bytes immutable_bytes_;
  std::uint64_t offset_ = 0;
  std::uint32_t next_image_ = 0;
  std::vector<Bytes> spare_buffers_;
  std::deque<std::unique_ptr<Pending>> on_their_way_;
  std::unique_ptr<Workers> workers_;  // goes first, for its tasks refer to the others
};

// One image being written. The caller fills space() and says how much it put there, so that content
// is read straight into the buffer in which it is encrypted.
class FileWriter::Image {
 public:
  MutableByteView space() { return MutableByteView(buffer_).subspan(filled_); }  // never empty
  Status put(std::size_t size);
  Status finish();

 private:
  friend class FileWriter;
  Image(FileWriter& writer, std::string name, std::uint32_t number, ImageCipher cipher);
  Status submit_chunk(bool last);

  FileWriter& writer_;
  std::string name_;
  std::uint32_t number_;
  std::shared_ptr<ImageCipher> cipher_;
  Bytes buffer_;
  std::size_t filled_ = 0;
  std::uint64_t index_ = 0;
};

}  // namespace ckptseal
