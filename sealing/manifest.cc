// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes manifest pages.
#include "sealing/manifest.h"

#include <algorithm>

#include "sealing/damage.h"

namespace ckptseal {
namespace {

enum class PageKind : std::uint8_t { chunks = 1, images = 2, records = 3, end = 4 };

constexpr std::uint8_t encoding_plain = 0;
constexpr std::uint16_t critical_bit = 0x8000;

struct PageHeader {
  PageKind kind = PageKind::end;
  std::uint8_t encoding = encoding_plain;
  std::uint16_t count = 0;
  std::uint32_t number = 0;
  std::uint64_t first = 0;
};

void put_header(ByteWriter& out, const PageHeader& header) {
  out.u8(static_cast<std::uint8_t>(header.kind))
      .u8(header.encoding)
      .u16(header.count)
      .u32(header.number)
      .u64(header.first);
}

void put_entry(ByteWriter& out, const ChunkEntry& entry, Suite suite) {
  out.u64(entry.offset).bytes(entry.tag);
  if (!is_exclusive(suite)) out.bytes(entry.digest);
}

ChunkEntry get_entry(ByteReader& in, Suite suite) {
  ChunkEntry entry;
  entry.offset = in.u64();
  entry.tag = in.array<16>();
  if (!is_exclusive(suite)) entry.digest = in.array<32>();
  return entry;
}

Error newer_encoding() { return damaged_manifest("an image is encoded for a newer ckpt-seal"); }

template <typename Container>
std::uint16_t count_of(const Container& entries) {
  return static_cast<std::uint16_t>(entries.size());
}

void put(ByteWriter& out, const ChunkPage& page, Suite suite) {
  put_header(out, {PageKind::chunks, encoding_plain, count_of(page.entries), page.image_number,
                   page.first_index});
  for (const ChunkEntry& entry : page.entries) put_entry(out, entry, suite);
}

void put(ByteWriter& out, const ImagePage& page, Suite suite) {
  put_header(out, {PageKind::images, 0, count_of(page.records), 0, 0});
  for (const ImageRecord& record : page.records) {
    out.u32(record.number).u8(encoding_plain);
    out.u8(static_cast<std::uint8_t>(record.name.size()));
    out.bytes(as_bytes(record.name)).u64(record.length);
    for (const ChunkEntry& entry : record.inline_entries) put_entry(out, entry, suite);
  }
}

void put(ByteWriter& out, const RecordPage& page, Suite) {
  put_header(out, {PageKind::records, 0, count_of(page.records), 0, 0});
  for (const TypedRecord& record : page.records) {
    out.u16(static_cast<std::uint16_t>(record.type | (record.critical ? critical_bit : 0)));
    out.u16(count_of(record.body)).bytes(record.body);
  }
}

void put(ByteWriter& out, const EndPage& page, Suite) {
  put_header(out, {PageKind::end, 0, 0, page.image_count, 0});
  out.u64(page.chunk_count).u64(page.content_bytes).u64(page.manifest_offset);
}

Result<ManifestPage> get_chunks(ByteReader& in, const PageHeader& header, Suite suite) {
  if (header.count > chunks_per_page(suite)) return damaged_manifest("too many chunks in a page");
  ChunkPage page{header.number, header.first, {}};
  for (unsigned i = 0; i < header.count; ++i) page.entries.push_back(get_entry(in, suite));
  return ManifestPage(std::move(page));
}

Result<ManifestPage> get_images(ByteReader& in, const PageHeader& header, Suite suite,
                                std::size_t chunk_size) {
  ImagePage page;
  for (unsigned i = 0; i < header.count && in.ok(); ++i) {
    ImageRecord record;
    record.number = in.u32();
    const std::uint8_t encoding = in.u8();
    const std::uint8_t name_length = in.u8();
    record.name = as_text(in.view(name_length));
    record.length = in.u64();
    if (!in.ok()) break;
    if (encoding != encoding_plain) return newer_encoding();
    if (!valid_image_name(record.name)) return damaged_manifest("an image has a bad name");
    if (record.length >= largest_image_length)
      return damaged_manifest("an image has an absurd length");
    const std::uint64_t chunks = chunk_count(record.length, chunk_size);
    if (chunks <= most_inline_chunks) {
      for (unsigned c = 0; c < chunks; ++c) record.inline_entries.push_back(get_entry(in, suite));
    }
    page.records.push_back(std::move(record));
  }
  return ManifestPage(std::move(page));
}

Result<ManifestPage> get_records(ByteReader& in, const PageHeader& header) {
  RecordPage page;
  for (unsigned i = 0; i < header.count && in.ok(); ++i) {
    TypedRecord record;
    const std::uint16_t type = in.u16();
    const ByteView body = in.view(in.u16());
    record.critical = (type & critical_bit) != 0;
    record.type = type & static_cast<std::uint16_t>(~critical_bit);
    record.body.assign(body.begin(), body.end());
    if (in.ok() && record.type == 0) return damaged_manifest("a record has no type");
    page.records.push_back(std::move(record));
  }
  return ManifestPage(std::move(page));
}

Result<ManifestPage> get_end(ByteReader& in, const PageHeader& header) {
  return ManifestPage(EndPage{header.number, in.u64(), in.u64(), in.u64()});
}

// What a page of this kind leaves unused in its header is zero.
bool unused_is_zero(const PageHeader& header) {
  switch (header.kind) {
    case PageKind::chunks:
      return header.count > 0;
    case PageKind::images:
      return header.count > 0 && header.number == 0 && header.first == 0;
    case PageKind::records:
      return header.count > 0 && header.number == 0 && header.first == 0;
    case PageKind::end:
      return header.count == 0 && header.first == 0;
  }
  return false;
}

Result<ManifestPage> get_page(ByteReader& in, const PageHeader& header, Suite suite,
                              std::size_t chunk_size) {
  switch (header.kind) {
    case PageKind::chunks:
      return get_chunks(in, header, suite);
    case PageKind::images:
      return get_images(in, header, suite, chunk_size);
    case PageKind::records:
      return get_records(in, header);
    case PageKind::end:
      break;
  }
  return get_end(in, header);
}

}  // namespace

bool valid_image_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c >= 0x21 && c <= 0x7e && c != '/'; });
}

std::size_t image_record_size(const ImageRecord& record, Suite suite) {
  return 14 + record.name.size() + record.inline_entries.size() * chunk_entry_size(suite);
}

Bytes serialize_page(const ManifestPage& page, Suite suite) {
  ByteWriter out;
  std::visit([&](const auto& p) { put(out, p, suite); }, page);
  out.zeros(page_plaintext_size - out.size());
  return out.take();
}

Result<ManifestPage> parse_page(ByteView plaintext, Suite suite, std::size_t chunk_size) {
  ByteReader in(plaintext);
  const std::uint8_t kind = in.u8();
  if (kind < 1 || kind > 4) return damaged_manifest("an unknown kind of page");
  const PageHeader header{static_cast<PageKind>(kind), in.u8(), in.u16(), in.u32(), in.u64()};
  if (header.encoding != encoding_plain) {
    return header.kind == PageKind::chunks ? newer_encoding()
                                           : damaged_manifest("a page header is wrong");
  }
  if (!unused_is_zero(header)) return damaged_manifest("a page header is wrong");
  Result<ManifestPage> page = get_page(in, header, suite, chunk_size);
  if (!page.ok()) return page;
  if (!in.ok()) return damaged_manifest("a page ends in the middle of an entry");
  if (!all_zero(in.rest())) return damaged_manifest("the padding of a page is not zero");
  return page;
}

}  // namespace ckptseal
