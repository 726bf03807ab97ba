// SPDX-License-Identifier: Apache-2.0
//
// A sealed checkpoint with its data key: every page of the manifest decrypted and checked, images
// by name, chunks verified before a byte is given out. It exists in the helper alone.
// docs/format.md, "Reading", 4 to 7.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/page_buffer.h"
#include "base/workers.h"
#include "sealing/manifest.h"
#include "sealing/sealed_file.h"

namespace ckptseal {

struct UnlockedSlot {
  std::size_t index = 0;
  Secret data_key;
};
// Step 4 up to the data key: the first slot that one of the identities opens. An identity that
// fails with Code::policy (a wrong passphrase may still fit another slot) or Code::no_slot (too few
// of a threshold) is remembered and the next slot tried; other failures end it. Code::no_slot when
// none is for any of them. `only_slot` limits the search to one slot.
Result<UnlockedSlot> unlock_slot(const HeaderBlock& header,
                                 std::span<const std::unique_ptr<Identity>> identities,
                                 std::optional<std::size_t> only_slot = std::nullopt);

struct ImageInfo {
  std::uint32_t number = 0;
  std::string name;
  std::uint64_t length = 0;
  std::uint64_t chunks = 0;
};

class UnlockedFile {
 public:
  // `file` was opened, hashed and, unless that is not wanted, verified; it must outlive this.
  // `slot` says which slot gave the key. Code::integrity for every broken rule; Code::untrusted for
  // a slot of an adder whom `adders` does not contain, or whose record has expired `now`.
  static Result<UnlockedFile> open(const SealedFile& file, const UnlockedSlot& slot,
                                   std::span<const TrustedOrigin> adders, Seconds now);

  const std::vector<ImageInfo>& images() const { return images_; }  // by number
  std::uint64_t content_bytes() const { return totals_.content_bytes; }
  // nullptr: there is no image of that name.
  const ImageInfo* find(const std::string& name) const;
  const SealedFile& file() const { return *file_; }
  const FileKeys& keys() const { return keys_; }

  class ImageReader;
  // With `workers`, which must outlive the reader, chunks are read and verified ahead of next(), as
  // far as all readers of this file together have memory for.
  Result<ImageReader> read_image(const ImageInfo& image, Workers* workers = nullptr) const;

 private:
  struct ImageLocation {
    std::vector<std::uint64_t> chunk_pages;
    std::vector<ChunkEntry> inline_entries;
    bool described = false;         // its image record was seen
    std::uint64_t chunks_seen = 0;  // in chunk pages
    bool chunks_ended = false;      // a page that was not full was seen
  };
  class Checker;

  UnlockedFile(const SealedFile& file, FileKeys keys, Aead manifest_aead);
  Result<ManifestPage> read_page(std::uint64_t index) const;
  Status read_manifest();

  const SealedFile* file_;
  FileKeys keys_;
  mutable Aead manifest_aead_;  // decryption changes nothing that can be seen
  std::vector<ImageInfo> images_;
  std::vector<ImageLocation> locations_;  // by number, like images_
  std::unordered_map<std::string, std::uint32_t> by_name_;
  std::vector<Digest> sealed_slots_;
  EndPage totals_;
  mutable std::size_t read_ahead_ = 0;  // bytes
};

// Reads one image from its first chunk to its last.
class UnlockedFile::ImageReader {
 public:
  ImageReader(ImageReader&&) noexcept;
  ImageReader& operator=(ImageReader&&) = delete;
  ~ImageReader();

  // The next chunk's plaintext, at most one chunk size, in pages of its own (base/page_buffer.h);
  // empty at the end of the image. The view is valid until the next call of next() or give_back().
  Result<MutableByteView> next();
  // The chunk that next() has returned stays as it is, beyond the next calls, until let_go(), which
  // is for the one that was kept first. Its pages serve nothing else until then, nor ever when this
  // goes first.
  void keep();
  void let_go();
  // Gives up the memory of the chunk that next() has returned, which was not kept; the same comes
  // again. Its pages serve nothing else.
  void give_back();

 private:
  friend class UnlockedFile;
  struct Piece;
  ImageReader(const UnlockedFile& file, const ImageInfo& image, ImageCipher cipher,
              Workers* workers);
  Result<ChunkEntry> entry_of(std::uint64_t index);
  Result<std::unique_ptr<Piece>> begin(std::uint64_t index);
  PageBuffer fresh_buffer();
  Status read_ahead();
  void forget_ahead();

  const UnlockedFile& file_;
  const ImageInfo& image_;
  std::unique_ptr<ImageCipher> cipher_;
  Workers* workers_;
  ChunkPage page_;
  std::uint64_t index_ = 0;                   // of what next() returns
  std::unique_ptr<Piece> current_;            // what it has returned
  std::deque<std::unique_ptr<Piece>> ahead_;  // from index_ on
  std::deque<PageBuffer> kept_;
  std::vector<PageBuffer> spare_;
};

}  // namespace ckptseal
