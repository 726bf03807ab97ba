// SPDX-License-Identifier: Apache-2.0
//
// Fills pages in the order in which they become full.
#include "sealing/manifest_writer.h"

#include <fmt/format.h>

#include "base/fd.h"

namespace ckptseal {

Result<ManifestWriter> ManifestWriter::make(const FileKeys& keys, Suite suite, int spool_fd) {
  CKPTSEAL_ASSIGN(Aead aead, Aead::make(cipher_of(suite), keys.manifest_key()));
  return ManifestWriter(std::move(aead), suite, spool_fd);
}

Status ManifestWriter::add_chunk(std::uint32_t image_number, const ChunkEntry& entry) {
  ChunkPage& page = open_images_[image_number];
  page.image_number = image_number;
  // A full page is written only when more comes: eight chunks and fewer go into the image record.
  if (page.entries.size() == chunks_per_page(suite_)) CKPTSEAL_TRY(flush_chunks(page));
  page.entries.push_back(entry);
  ++totals_.chunk_count;
  return {};
}

Status ManifestWriter::end_image(std::uint32_t image_number, std::string name,
                                 std::uint64_t length) {
  auto node = open_images_.extract(image_number);
  ChunkPage& rest = node.mapped();
  ImageRecord record{image_number, std::move(name), length, {}};
  if (rest.first_index == 0 && rest.entries.size() <= most_inline_chunks) {
    record.inline_entries = std::move(rest.entries);
  } else {
    CKPTSEAL_TRY(flush_chunks(rest));
  }
  const std::size_t size = image_record_size(record, suite_);
  if (page_header_size + images_size_ + size > page_plaintext_size) CKPTSEAL_TRY(flush_images());
  images_size_ += size;
  images_.records.push_back(std::move(record));
  totals_.content_bytes += length;
  if (++totals_.image_count > largest_image_count) {
    return Error{Code::failed,
                 fmt::format("There are more than {} images, the most that one sealed checkpoint "
                             "holds; seal in parts.",
                             largest_image_count),
                 0};
  }
  return {};
}

Status ManifestWriter::finish(std::uint64_t manifest_offset) {
  if (!images_.records.empty()) CKPTSEAL_TRY(flush_images());
  totals_.manifest_offset = manifest_offset;
  return put_page(totals_, true);
}

Status ManifestWriter::flush_chunks(ChunkPage& page) {
  CKPTSEAL_TRY(put_page(page, false));
  page.first_index += page.entries.size();
  page.entries.clear();
  return {};
}

Status ManifestWriter::flush_images() {
  CKPTSEAL_TRY(put_page(images_, false));
  images_.records.clear();
  images_size_ = 0;
  return {};
}

Status ManifestWriter::put_page(const ManifestPage& page, bool last) {
  if (page_count_ == largest_page_count) {
    return Error{Code::failed,
                 "The content is larger than one sealed checkpoint holds; seal in parts.", 0};
  }
  Bytes bytes = serialize_page(page, suite_);
  CKPTSEAL_ASSIGN(const Tag tag, aead_.encrypt(position_nonce(page_count_, last), {}, bytes));
  bytes.insert(bytes.end(), tag.begin(), tag.end());
  hash_.update(bytes);
  CKPTSEAL_TRY(pwrite_full(spool_fd_, bytes, page_count_ * page_size));
  ++page_count_;
  return {};
}

}  // namespace ckptseal
