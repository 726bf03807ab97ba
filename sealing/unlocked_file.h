// SPDX-License-Identifier: Apache-2.0
//
// A sealed checkpoint with its data key: every page of the manifest decrypted and checked, images
// by name, chunks verified before a byte is given out. It exists in the helper alone.
// docs/format.md, "Reading", 4 to 6.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "base/page_buffer.h"
#include "base/workers.h"
#include "sealing/manifest_rules.h"
#include "sealing/slot_search.h"

namespace ckptseal {

class UnlockedFile {
 public:
  // `file` was verified, and find_slot() found the slot; it must outlive this. Code::integrity for
  // every broken rule.
  static Result<UnlockedFile> open(const SealedFile& file, const UnlockedSlot& slot);
  // Code::failed for a file whose content is not whole without that of others: docs/format.md,
  // "Chains". It can be verified all the same.
  Status check_alone() const;

  const std::vector<ImageInfo>& images() const { return manifest_.images; }  // by number
  std::uint64_t content_bytes() const { return manifest_.totals.content_bytes; }
  // nullptr: there is no image of that name.
  const ImageInfo* find(const std::string& name) const;
  const SealedFile& file() const { return *file_; }
  const FileKeys& keys() const { return keys_; }

  class ImageReader;
  // With `workers`, which must outlive the reader, chunks are read and verified ahead of next(), as
  // far as all readers of this file together have memory for.
  Result<ImageReader> read_image(const ImageInfo& image, Workers* workers = nullptr) const;

 private:
  UnlockedFile(const SealedFile& file, FileKeys keys, Aead manifest_aead);
  Result<ManifestPage> read_page(std::uint64_t index) const;
  Status read_manifest();

  const SealedFile* file_;
  FileKeys keys_;
  mutable Aead manifest_aead_;  // decryption changes nothing that can be seen
  ManifestContents manifest_;
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
  // Whether nothing of what next() has returned is stored, for all of it is zero.
  bool is_hole() const;
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
