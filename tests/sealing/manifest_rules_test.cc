// SPDX-License-Identifier: Apache-2.0
//
// Rules of docs/format.md, "Manifest", that several pages break together, under a good signature:
// the signature says who wrote it, not that it is right.
#include <gtest/gtest.h>

#include <algorithm>

#include "forge.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::Forge;
using test::pattern;
using test::read_bytes;

constexpr std::size_t C = std::size_t{1} << smallest_chunk_log2;

class ManifestRulesTest : public testing::Test {
 protected:
  // One image in chunk pages (of 73 chunks, so in two), one inline, one empty.
  test::Sample criu() {
    test::Sample sample;
    sample.content = Content::criu;
    sample.images = {
        {"large", pattern("large", 72 * C + 1)}, {"small", pattern("small", 5000)}, {"empty", {}}};
    sample.origin = &origin;
    return sample;
  }
  test::Sample stream() {
    test::Sample sample;
    sample.origin = &origin;
    return sample;
  }
  Result<test::Contents> read(const Forge& forge) {
    return read_bytes(forge.build(&origin), trusting(origin));
  }
  // Before a chunk is read.
  void expect_refused(const Forge& forge, const std::string& what) {
    const Status opened = open_manifest(forge.build(&origin), trusting(origin));
    ASSERT_FALSE(opened.ok()) << what;
    EXPECT_EQ(opened.error().code, Code::integrity) << what << ": " << opened.error().message;
  }
  void expect_chunk_refused(const Forge& forge, const std::string& what) {
    EXPECT_TRUE(open_manifest(forge.build(&origin), trusting(origin)).ok()) << what;
    const Result<test::Contents> contents = read(forge);
    ASSERT_FALSE(contents.ok()) << what;
    EXPECT_EQ(contents.error().code, Code::integrity) << what << ": " << contents.error().message;
  }

  DoubleOrigin origin;
  const Bytes criu_file = seal(criu());
  const Bytes stream_file = seal(stream());
  Forge large{criu_file, "alice"};    // pages: chunks, chunks, images, end
  Forge small{stream_file, "alice"};  // pages: images, end
};

TEST_F(ManifestRulesTest, TheForgeChangesNothingByItself) {
  EXPECT_EQ(Forge(stream_file, "alice").build(nullptr), stream_file);
  EXPECT_TRUE(read(large).ok());
  ASSERT_EQ(large.pages.size(), 4U);
  ASSERT_EQ(small.pages.size(), 2U);
}

TEST_F(ManifestRulesTest, ChunkPagesAndRecordsComeInAnyMixture) {
  std::rotate(large.pages.begin(), large.pages.begin() + 2, large.pages.begin() + 3);
  ASSERT_TRUE(std::holds_alternative<ImagePage>(large.pages[0]));
  const Result<test::Contents> contents = read(large);
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_TRUE(contents.value().images.at("large") == pattern("large", 72 * C + 1));
  std::swap(large.pages[0], large.pages[1]);
  EXPECT_TRUE(read(large).ok()) << "the record between its chunk pages";
}

TEST_F(ManifestRulesTest, ChunkPagesComeInOrder) {
  std::swap(large.pages[0], large.pages[1]);
  expect_refused(large, "the second chunk page first");
  test::Sample three = criu();
  three.images[0].second = pattern("larger", 144 * C + 1);
  Forge larger(seal(three), "alice");
  ASSERT_TRUE(open_manifest(larger.build(&origin), trusting(origin)).ok());
  std::swap(larger.pages[0], larger.pages[1]);
  expect_refused(larger, "two full chunk pages exchanged");
}

TEST_F(ManifestRulesTest, AChunkPageIsThereOnce) {
  large.pages.insert(large.pages.begin(), large.pages[0]);
  expect_refused(large, "a chunk page twice");
}

TEST_F(ManifestRulesTest, NoChunkPageIsMissing) {
  large.pages.erase(large.pages.begin() + 1);
  expect_refused(large, "the second chunk page missing");
}

TEST_F(ManifestRulesTest, AShortChunkPageIsTheLastOfItsImage) {
  ChunkPage first = large.page<ChunkPage>();
  ChunkPage second = first;
  second.first_index = 50;
  second.entries.erase(second.entries.begin(), second.entries.begin() + 50);
  first.entries.resize(50);
  large.pages[0] = first;
  large.pages.insert(large.pages.begin() + 1, second);
  expect_refused(large, "72 chunks in two pages");
}

// Chunk pages behind the record of an image that has all its chunks already.
TEST_F(ManifestRulesTest, NoChunkPageFollowsACompleteImage) {
  ChunkPage extra;
  extra.image_number = 0;
  extra.first_index = 73;
  extra.entries.resize(1);
  large.pages.insert(large.pages.begin() + 3, extra);
  expect_refused(large, "a chunk too many, behind a short page");

  test::Sample full = criu();
  full.images[0].second.resize(71 * C + 1);  // one full page exactly
  Forge exact(seal(full), "alice");
  ASSERT_EQ(exact.pages.size(), 3U);
  EXPECT_TRUE(read(exact).ok());
  extra.first_index = 72;
  exact.pages.insert(exact.pages.begin() + 2, extra);
  expect_refused(exact, "a chunk too many, behind a full page");

  extra.first_index = 1;
  small.pages.insert(small.pages.begin() + 1, extra);
  expect_refused(small, "a chunk page for an inline image, behind it");
  extra.first_index = 0;
  std::get<ChunkPage>(small.pages[1]) = extra;
  expect_refused(small, "a chunk page from 0 for an inline image, behind it");
  std::swap(small.pages[0], small.pages[1]);
  expect_refused(small, "a chunk page for an inline image, before it");
}

TEST_F(ManifestRulesTest, AChunkPageBelongsToAnImage) {
  std::get<ChunkPage>(large.pages[1]).image_number = 3;
  expect_refused(large, "an image without a record");
  std::get<ChunkPage>(large.pages[1]).image_number = 131072;
  expect_refused(large, "an absurd image number");
  std::get<ChunkPage>(large.pages[1]).image_number = 0xffffffff;
  expect_refused(large, "the largest image number");
}

TEST_F(ManifestRulesTest, ImageNumbersAreEachThereOnce) {
  std::vector<ImageRecord>& records = large.page<ImagePage>().records;
  ASSERT_EQ(records.size(), 3U);
  records[2].number = 1;
  expect_refused(large, "a number twice, one missing");
  records[2].number = 3;
  expect_refused(large, "a gap");
  records[2].number = 131072;
  expect_refused(large, "an absurd number");
  records[2].number = 2;
  std::swap(records[1], records[2]);
  EXPECT_TRUE(read(large).ok()) << "their order is free";
  records.push_back(records[1]);
  expect_refused(large, "a record twice");
}

TEST_F(ManifestRulesTest, ImageNamesAreEachThereOnce) {
  std::vector<ImageRecord>& records = large.page<ImagePage>().records;
  records[2].name = records[1].name;
  expect_refused(large, "a name twice");
}

TEST_F(ManifestRulesTest, LengthAndChunksAgree) {
  ImageRecord& record = large.page<ImagePage>().records[0];
  const std::uint64_t length = record.length;
  for (const std::uint64_t other :
       {length + C, length - C, length + 1, length - 1, 72 * C, largest_image_length - 1}) {
    record.length = other;
    expect_refused(large, "length " + std::to_string(other));
  }
  record.length = length + 1;
  large.page<EndPage>().content_bytes += 1;
  expect_chunk_refused(large, "a last chunk that is shorter");
}

TEST_F(ManifestRulesTest, TotalsFit) {
  for (const auto field :
       {&EndPage::chunk_count, &EndPage::content_bytes, &EndPage::manifest_offset}) {
    Forge forge(stream_file, "alice");
    forge.page<EndPage>().*field += 1;
    expect_refused(forge, "a total too high");
    forge.page<EndPage>().*field -= 2;
    expect_refused(forge, "a total too low");
  }
  small.page<EndPage>().image_count = 2;
  expect_refused(small, "an image too many");
  small.page<EndPage>().image_count = 0;
  expect_refused(small, "an image too few");
}

TEST_F(ManifestRulesTest, TheEndPageIsTheLastAndOnlyThat) {
  const ManifestPage end = small.pages.back();
  small.pages.push_back(end);
  expect_refused(small, "two end pages");
  small.pages.pop_back();
  std::swap(small.pages[0], small.pages[1]);
  expect_refused(small, "the end page before the image page");
  std::swap(small.pages[0], small.pages[1]);
  small.pages.pop_back();
  expect_refused(small, "no end page");
}

TEST_F(ManifestRulesTest, TheDataAreaHoldsChunksAndNothingElse) {
  small.data.resize(small.data.size() + block_size);
  expect_refused(small, "M of the end page differs");
  small.page<EndPage>().manifest_offset += block_size;
  expect_refused(small, "a block that no image owns");
  small.data.resize(small.data.size() - 2 * block_size);
  small.page<EndPage>().manifest_offset -= 2 * block_size;
  expect_refused(small, "a block that is missing");
}

TEST_F(ManifestRulesTest, ChunksLieInTheDataArea) {
  ChunkEntry& entry = small.page<ImagePage>().records[0].inline_entries[0];
  const std::uint64_t right = entry.offset;
  const std::uint64_t start = small.header.immutable.data_start();
  ASSERT_EQ(right, start);
  for (const std::uint64_t offset : std::initializer_list<std::uint64_t>{
           0, right + 1, right - block_size, right + block_size, start + small.data.size(),
           UINT64_MAX, UINT64_MAX - 4095, std::uint64_t{1} << 63}) {
    entry.offset = offset;
    expect_chunk_refused(small, "offset " + std::to_string(offset));
  }
}

TEST_F(ManifestRulesTest, AnEmptyChunkHasOffsetZero) {
  ChunkEntry& entry = large.page<ImagePage>().records[2].inline_entries[0];
  ASSERT_EQ(entry.offset, 0U);
  entry.offset = large.header.immutable.data_start();
  expect_chunk_refused(large, "an empty chunk with an offset");
}

TEST_F(ManifestRulesTest, ThePaddingOfAChunkIsZero) {
  small.data[5000] = 1;
  expect_chunk_refused(small, "the first byte of padding");
  small.data[5000] = 0;
  small.data.back() = 1;
  expect_chunk_refused(small, "the last byte of padding");
}

TEST_F(ManifestRulesTest, WhatAStreamAndATreeContain) {
  ImageRecord& record = small.page<ImagePage>().records[0];
  record.name = "tree.tar";
  expect_refused(small, "a stream of another name");
  test::Sample tree = stream();
  tree.content = Content::tree;
  tree.images[0].first = "tree.tar";
  EXPECT_TRUE(read_bytes(seal(tree), trusting(origin)).ok());
  tree.images[0].first = "stream";
  EXPECT_FALSE(read_bytes(seal(tree), trusting(origin)).ok());
  test::Sample two = stream();
  two.images.emplace_back("second", Bytes{});
  EXPECT_FALSE(read_bytes(seal(two), trusting(origin)).ok()) << "a stream and more";
  two.images.clear();
  EXPECT_FALSE(read_bytes(seal(two), trusting(origin)).ok()) << "a stream without one";
}

// Every single byte of every page's structure, under a good signature: nothing that differs from
// what was written goes unseen.
TEST_F(ManifestRulesTest, EveryByteOfThePlaintextCounts) {
  for (std::size_t p = 0; p < small.pages.size(); ++p) {
    for (std::size_t at = 0; at < 110; ++at) {
      const Bytes file = small.build(&origin, [&](std::size_t page, Bytes& plaintext) {
        if (page == p) plaintext[at] ^= 1;
      });
      const Result<test::Contents> contents = read_bytes(file, trusting(origin));
      ASSERT_FALSE(contents.ok()) << "page " << p << " byte " << at;
      ASSERT_EQ(contents.error().code, Code::integrity) << "page " << p << " byte " << at;
    }
  }
}

}  // namespace
}  // namespace ckptseal
