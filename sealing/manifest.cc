// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes manifest pages.
#include "sealing/manifest.h"

#include <fmt/format.h>

#include <algorithm>

namespace ckptseal {
namespace {

enum class PageKind : std::uint8_t { chunks = 1, images = 2, slots = 3, end = 4 };

struct PageHeader {
  PageKind kind = PageKind::end;
  std::uint16_t count = 0;
  std::uint32_t number = 0;
  std::uint64_t first = 0;
};

Error damaged(std::string_view why) {
  return Error{Code::integrity, fmt::format("its manifest is not as it has to be ({})", why), 0};
}

void put_header(ByteWriter& out, const PageHeader& header) {
  out.u8(static_cast<std::uint8_t>(header.kind))
      .u8(0)
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

template <typename Container>
std::uint16_t count_of(const Container& entries) {
  return static_cast<std::uint16_t>(entries.size());
}

void put(ByteWriter& out, const ChunkPage& page, Suite suite) {
  put_header(out, {PageKind::chunks, count_of(page.entries), page.image_number, page.first_index});
  for (const ChunkEntry& entry : page.entries) put_entry(out, entry, suite);
}

void put(ByteWriter& out, const ImagePage& page, Suite suite) {
  put_header(out, {PageKind::images, count_of(page.records), 0, 0});
  for (const ImageRecord& record : page.records) {
    out.u32(record.number).u8(0).u8(static_cast<std::uint8_t>(record.name.size()));
    out.bytes(as_bytes(record.name)).u64(record.length);
    for (const ChunkEntry& entry : record.inline_entries) put_entry(out, entry, suite);
  }
}

void put(ByteWriter& out, const SlotPage& page, Suite) {
  put_header(out, {PageKind::slots, count_of(page.digests), 0, page.first_index});
  for (const Digest& digest : page.digests) out.bytes(digest);
}

void put(ByteWriter& out, const EndPage& page, Suite) {
  put_header(out, {PageKind::end, 0, page.image_count, 0});
  out.u64(page.chunk_count).u64(page.content_bytes).u64(page.manifest_offset);
}

Result<ManifestPage> get_chunks(ByteReader& in, const PageHeader& header, Suite suite) {
  if (header.count > chunks_per_page(suite)) return damaged("too many chunks in a page");
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
    const std::uint8_t zero = in.u8();
    const std::uint8_t name_length = in.u8();
    record.name = as_text(in.view(name_length));
    record.length = in.u64();
    if (!in.ok()) break;
    if (zero != 0 || !valid_image_name(record.name)) return damaged("an image has a bad name");
    if (record.length >= largest_image_length) return damaged("an image has an absurd length");
    const std::uint64_t chunks = chunk_count(record.length, chunk_size);
    if (chunks <= most_inline_chunks) {
      for (unsigned c = 0; c < chunks; ++c) record.inline_entries.push_back(get_entry(in, suite));
    }
    page.records.push_back(std::move(record));
  }
  return ManifestPage(std::move(page));
}

Result<ManifestPage> get_slots(ByteReader& in, const PageHeader& header) {
  if (header.count > slots_per_page) return damaged("too many slots in a page");
  SlotPage page{header.first, {}};
  for (unsigned i = 0; i < header.count; ++i) page.digests.push_back(in.array<32>());
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
    case PageKind::slots:
      return header.count > 0 && header.number == 0;
    case PageKind::end:
      return header.count == 0 && header.first == 0;
  }
  return false;
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
  const std::uint8_t zero = in.u8();
  if (kind < 1 || kind > 4) return damaged("an unknown kind of page");
  PageHeader header{static_cast<PageKind>(kind), in.u16(), in.u32(), in.u64()};
  if (zero != 0 || !unused_is_zero(header)) return damaged("a page header is wrong");
  Result<ManifestPage> page = header.kind == PageKind::chunks ? get_chunks(in, header, suite)
                              : header.kind == PageKind::images
                                  ? get_images(in, header, suite, chunk_size)
                              : header.kind == PageKind::slots ? get_slots(in, header)
                                                               : get_end(in, header);
  if (!page.ok()) return page;
  if (!in.ok()) return damaged("a page ends in the middle of an entry");
  if (!all_zero(in.rest())) return damaged("the padding of a page is not zero");
  return page;
}

}  // namespace ckptseal
