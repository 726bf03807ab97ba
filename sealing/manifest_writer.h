// SPDX-License-Identifier: Apache-2.0
//
// Collects chunk entries and image records while a checkpoint is written, encrypts full pages at
// once and keeps them, as ciphertext, in a spool file until the data is complete: memory does not
// grow with the checkpoint. docs/format.md, "Manifest".
#pragma once

#include <map>

#include "sealing/manifest.h"

namespace ckptseal {

class ManifestWriter {
 public:
  // `spool_fd` is an empty file, open for reading and writing; it stays the caller's.
  static Result<ManifestWriter> make(const FileKeys& keys, Suite suite, int spool_fd);

  // The next chunk of the image: its entries come in order.
  Status add_chunk(std::uint32_t image_number, const ChunkEntry& entry);
  // The image is complete.
  Status end_image(std::uint32_t image_number, std::string name, std::uint64_t length);
  // Writes the end page.
  Status finish(std::uint64_t manifest_offset);

  // After finish(): SHA-256 of all pages, and how many there are in the spool file.
  Digest digest() { return hash_.finish(); }
  std::uint64_t page_count() const { return page_count_; }

 private:
  ManifestWriter(Aead aead, Suite suite, int spool_fd)
      : aead_(std::move(aead)), suite_(suite), spool_fd_(spool_fd) {}
  Status put_page(const ManifestPage& page, bool last);
  Status flush_chunks(ChunkPage& page);
  Status flush_images();

  Aead aead_;
  Suite suite_;
  int spool_fd_;
  Sha256 hash_;
  std::uint64_t page_count_ = 0;
  std::map<std::uint32_t, ChunkPage> open_images_;
  ImagePage images_;
  std::size_t images_size_ = 0;
  EndPage totals_;
};

}  // namespace ckptseal
