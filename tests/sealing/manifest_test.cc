// SPDX-License-Identifier: Apache-2.0
//
// sealing/manifest.h: each kind of page, and each rule of docs/format.md, "Manifest", that one page
// alone can break. Rules over several pages are in manifest_rules_test.cc.
#include "sealing/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace ckptseal {
namespace {

constexpr std::size_t chunk_size = 65536;

ChunkEntry entry_of(std::uint8_t byte, Suite suite) {
  ChunkEntry entry;
  entry.offset = std::uint64_t{byte} * 4096;
  entry.tag.fill(byte);
  if (!is_exclusive(suite)) entry.digest.fill(byte);
  return entry;
}

ImageRecord record_of(std::uint32_t number, std::string name, std::uint64_t length, Suite suite) {
  ImageRecord record{number, std::move(name), length, {}};
  const std::uint64_t chunks = chunk_count(length, chunk_size);
  if (chunks <= most_inline_chunks) {
    record.inline_entries.assign(chunks, entry_of(3, suite));
  }
  return record;
}

Result<ManifestPage> parse(ByteView bytes, Suite suite = Suite::aes_256_gcm) {
  return parse_page(bytes, suite, chunk_size);
}

void expect_refused(const Bytes& bytes, const std::string& what, Suite suite = Suite::aes_256_gcm) {
  const Result<ManifestPage> page = parse(bytes, suite);
  ASSERT_FALSE(page.ok()) << what;
  EXPECT_EQ(page.error().code, Code::integrity) << what;
}

Bytes changed(Bytes bytes, std::size_t at, std::uint8_t value) {
  bytes.at(at) = value;
  return bytes;
}

class ManifestPageTest : public testing::TestWithParam<Suite> {
 protected:
  void expect_identity(const ManifestPage& page) {
    const Bytes bytes = serialize_page(page, GetParam());
    ASSERT_EQ(bytes.size(), page_plaintext_size);
    const Result<ManifestPage> parsed = parse(bytes, GetParam());
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed.value().index(), page.index());
    EXPECT_EQ(serialize_page(parsed.value(), GetParam()), bytes);
  }
};
INSTANTIATE_TEST_SUITE_P(Suites, ManifestPageTest,
                         testing::Values(Suite::aes_256_gcm, Suite::aes_256_gcm_exclusive));

TEST_P(ManifestPageTest, ParseThenSerializeIsIdentity) {
  const Suite suite = GetParam();
  const std::size_t full = chunks_per_page(suite);
  EXPECT_EQ(full, is_exclusive(suite) ? 169U : 72U);
  expect_identity(ChunkPage{5, 72, std::vector<ChunkEntry>(1, entry_of(1, suite))});
  expect_identity(ChunkPage{5, 0, {ChunkEntry::zeros()}});
  expect_identity(ChunkPage{5, 0, std::vector<ChunkEntry>(full, entry_of(2, suite))});
  ImagePage images;
  for (const std::uint64_t length : {0UL, 1UL, 65536UL, 8UL * 65536 - 1, 8UL * 65536, 1UL << 40}) {
    images.records.push_back(record_of(static_cast<std::uint32_t>(images.records.size()),
                                       "image-" + std::to_string(length), length, suite));
  }
  images.records.push_back(record_of(77, std::string(255, '~'), 5, suite));
  images.records.push_back(record_of(78, "!", largest_image_length - 1, suite));
  expect_identity(images);
  expect_identity(RecordPage{{{true, 1, Bytes(64, 1)}, {false, 2, {}}, {false, 0x7fff, {9}}}});
  expect_identity(RecordPage{{{false, 5, Bytes(4060, 1)}}});
  expect_identity(EndPage{1, 2, 3, 4});
}

TEST_P(ManifestPageTest, PagesWithTooManyEntriesAreRefused) {
  const Suite suite = GetParam();
  const Bytes chunks =
      serialize_page(ChunkPage{0, 0, std::vector<ChunkEntry>(10, entry_of(1, suite))}, suite);
  const auto over = static_cast<std::uint16_t>(chunks_per_page(suite) + 1);
  Bytes bytes = changed(chunks, 2, static_cast<std::uint8_t>(over >> 8));
  expect_refused(changed(bytes, 3, static_cast<std::uint8_t>(over)), "chunks", suite);
  expect_refused(changed(chunks, 2, 0xff), "chunks", suite);
}

TEST(PageHeaderTest, EachRuleBroken) {
  const Suite suite = Suite::aes_256_gcm;
  const std::vector<Bytes> pages = {serialize_page(ChunkPage{0, 0, {entry_of(1, suite)}}, suite),
                                    serialize_page(ImagePage{{record_of(0, "a", 5, suite)}}, suite),
                                    serialize_page(RecordPage{{{false, 2, {7}}}}, suite),
                                    serialize_page(EndPage{1, 1, 5, 4096}, suite)};
  for (std::size_t i = 0; i < pages.size(); ++i) {
    ASSERT_TRUE(parse(pages[i]).ok());
    const std::string kind = "page of kind " + std::to_string(i + 1);
    expect_refused(changed(pages[i], 0, 0), kind + ": kind 0");
    expect_refused(changed(pages[i], 0, 5), kind + ": kind 5");
    expect_refused(changed(pages[i], 1, 1), kind + ": encoding 1");
    expect_refused(changed(pages[i], 1, 255), kind + ": encoding 255");
    expect_refused(changed(pages[i], page_plaintext_size - 1, 1), kind + ": the last zero");
    for (std::size_t size = 0; size < 100; ++size) {
      EXPECT_FALSE(parse(ByteView(pages[i]).first(size)).ok() && size < 16) << kind;
    }
  }
  expect_refused(changed(pages[0], 3, 0), "a chunk page without entries");
  expect_refused(changed(pages[1], 3, 0), "an image page without entries");
  expect_refused(changed(pages[2], 3, 0), "a record page without entries");
  expect_refused(changed(pages[3], 3, 1), "an end page with an entry");
  expect_refused(changed(pages[1], 7, 1), "an image page with an image number");
  expect_refused(changed(pages[1], 15, 1), "an image page with a first index");
  expect_refused(changed(pages[2], 7, 1), "a record page with an image number");
  expect_refused(changed(pages[2], 15, 1), "a record page with a first index");
  expect_refused(changed(pages[3], 15, 1), "an end page with a first index");
  expect_refused(changed(pages[0], 16 + 56, 1), "behind the last chunk entry");
  expect_refused(changed(pages[1], 16 + 15 + 56, 1), "behind the last image record");
  expect_refused(changed(pages[2], 16 + 5, 1), "behind the last record");
  expect_refused(changed(pages[3], 16 + 24, 1), "behind the totals");
}

TEST(ImageRecordTest, EachRuleBroken) {
  const Suite suite = Suite::aes_256_gcm;
  const Bytes good = serialize_page(ImagePage{{record_of(0, "abc", 5, suite)}}, suite);
  // 16 page header; 20 encoding; 21 length of the name; 22 name; 25 L
  expect_refused(changed(good, 20, 1), "encoding 1");
  expect_refused(changed(good, 20, 2), "encoding 2");
  expect_refused(changed(good, 21, 0), "no name");
  expect_refused(changed(good, 21, 255), "a name with zeros in it");
  for (const int byte : {0x00, 0x1f, 0x20, 0x2f, 0x7f, 0x80, 0xff}) {
    expect_refused(changed(good, 23, static_cast<std::uint8_t>(byte)), "byte in a name");
  }
  expect_refused(changed(good, 25, 0x40), "L of 2^62");
  expect_refused(changed(good, 25, 0xff), "L beyond 2^62");
  expect_refused(changed(good, 3, 2), "a second record of zeros");
  Bytes dots = serialize_page(ImagePage{{record_of(0, ".", 5, suite)}}, suite);
  expect_refused(dots, ".");
  dots = serialize_page(ImagePage{{record_of(0, "..", 5, suite)}}, suite);
  expect_refused(dots, "..");
  EXPECT_TRUE(parse(serialize_page(ImagePage{{record_of(0, "...", 5, suite)}}, suite)).ok());
}

TEST(ImageRecordTest, ARecordDoesNotCrossPages) {
  const Suite suite = Suite::aes_256_gcm;
  ImagePage page;
  std::size_t room = page_plaintext_size - page_header_size;
  for (std::uint32_t i = 0;; ++i) {
    const ImageRecord record = record_of(i, "image-" + std::to_string(i), 7UL * 65536, suite);
    if (image_record_size(record, suite) > room) break;
    room -= image_record_size(record, suite);
    page.records.push_back(record);
  }
  const Bytes full = serialize_page(page, suite);
  ASSERT_TRUE(parse(full).ok());
  // One more of which only the front fits.
  const std::size_t used = page_plaintext_size - room;
  ByteWriter front;
  front.u32(999).u8(0).u8(1).u8('x').u64(7UL * 65536);
  ASSERT_LT(front.size(), room);
  Bytes crossing = changed(full, 3, static_cast<std::uint8_t>(page.records.size() + 1));
  std::copy(front.view().begin(), front.view().end(),
            crossing.begin() + static_cast<std::ptrdiff_t>(used));
  expect_refused(crossing, "a record that crosses the end of the page");
}

// 16 page header; 16 type; 18 length; 20 body
TEST(TypedRecordTest, EachRuleBroken) {
  const Suite suite = Suite::aes_256_gcm;
  const Bytes good = serialize_page(RecordPage{{{false, 2, {7, 7, 7}}}}, suite);
  EXPECT_EQ(to_hex(ByteView(good).subspan(16, 8)), "0002000307070700");
  expect_refused(changed(good, 17, 0), "type 0");
  expect_refused(changed(changed(good, 17, 0), 16, 0x80), "type 0, critical");
  expect_refused(changed(good, 19, 2), "the rest is not zero");
  expect_refused(changed(good, 18, 0xff), "a length beyond the page");
  expect_refused(changed(good, 3, 2), "a second record of zeros");
  const Result<ManifestPage> critical = parse(changed(good, 16, 0x80));
  ASSERT_TRUE(critical.ok()) << "whether it is known is seen later";
  EXPECT_TRUE(std::get<RecordPage>(critical.value()).records[0].critical);
  EXPECT_EQ(std::get<RecordPage>(critical.value()).records[0].type, 2);
}

TEST(TypedRecordTest, ARecordDoesNotCrossPages) {
  const Suite suite = Suite::aes_256_gcm;
  // 4060 bytes of room: two records leave four.
  const Bytes full =
      serialize_page(RecordPage{{{false, 2, Bytes(4000, 1)}, {false, 2, Bytes(52, 1)}}}, suite);
  ASSERT_TRUE(parse(full).ok());
  const std::size_t length_at = page_header_size + 4 + 4000 + 2;
  EXPECT_TRUE(parse(changed(full, length_at + 1, 56)).ok()) << "up to the end";
  expect_refused(changed(full, length_at + 1, 57), "a byte behind the page");
  Bytes third = changed(full, 3, 3);
  third[page_plaintext_size - 3] = 2;
  EXPECT_TRUE(parse(third).ok()) << "one without a body in the last four bytes";
  expect_refused(changed(third, page_plaintext_size - 1, 1), "one with a body there");
}

TEST(ImageNameTest, AreFileNamesOfPrintableAscii) {
  for (const char* name : {"a", "core-1.img", "...", ".a", "\\", "~!", "a:b"}) {
    EXPECT_TRUE(valid_image_name(name)) << name;
  }
  EXPECT_TRUE(valid_image_name(std::string(255, 'a')));
  EXPECT_FALSE(valid_image_name(std::string(256, 'a')));
  for (const char* name : {"", ".", "..", "a/b", "/", "a b", "a\n", "\x7f", "\xc3\xa4"}) {
    EXPECT_FALSE(valid_image_name(name)) << name;
  }
  EXPECT_FALSE(valid_image_name(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace ckptseal
