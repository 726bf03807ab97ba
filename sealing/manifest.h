// SPDX-License-Identifier: Apache-2.0
//
// The plaintext of manifest pages: chunk entries, image records, typed records, the end page.
// docs/format.md, "Manifest". Pure: bytes in, bytes out; encryption is in manifest_writer.h and
// manifest_reader.h.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "sealing/chunk.h"

namespace ckptseal {

inline constexpr std::size_t page_header_size = 16;
inline constexpr std::uint64_t most_inline_chunks = 8;
constexpr std::size_t chunks_per_page(Suite suite) {
  return (page_plaintext_size - page_header_size) / chunk_entry_size(suite);
}

struct ChunkPage {
  std::uint32_t image_number = 0;
  std::uint64_t first_index = 0;
  std::vector<ChunkEntry> entries;
};
struct ImageRecord {
  std::uint32_t number = 0;
  std::string name;
  std::uint64_t length = 0;
  std::vector<ChunkEntry> inline_entries;  // all of them, or none when they stand in chunk pages
};
struct ImagePage {
  std::vector<ImageRecord> records;
};
// docs/format.md, "Record page": what the origin says beside the images.
struct TypedRecord {
  bool critical = false;   // who does not know the type must refuse the file
  std::uint16_t type = 0;  // 15 bits, not 0
  Bytes body;
};
struct RecordPage {
  std::vector<TypedRecord> records;
};
struct EndPage {
  std::uint32_t image_count = 0;
  std::uint64_t chunk_count = 0;
  std::uint64_t content_bytes = 0;
  std::uint64_t manifest_offset = 0;
};
using ManifestPage = std::variant<ChunkPage, ImagePage, RecordPage, EndPage>;

// 1 to 255 bytes 0x21 to 0x7e without '/', and not "." or "..".
bool valid_image_name(std::string_view name);

// Bytes that a record takes in an image page.
std::size_t image_record_size(const ImageRecord& record, Suite suite);

// page_plaintext_size bytes. The entries must fit.
Bytes serialize_page(const ManifestPage& page, Suite suite);
// `chunk_size` is C. Code::integrity for anything that serialize_page() would not have written.
Result<ManifestPage> parse_page(ByteView plaintext, Suite suite, std::size_t chunk_size);

}  // namespace ckptseal
