// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Chunks": chunks of zeros, of which nothing is stored.
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

// Chunks of: zeros, content, zeros, 100 bytes of zeros.
Bytes content_with_zeros() {
  Bytes out(3 * C + 100);
  const Bytes middle = pattern("middle", C);
  std::copy(middle.begin(), middle.end(), out.begin() + C);
  return out;
}

class ZerosTest : public testing::TestWithParam<Suite> {
 protected:
  test::Sample sample(Bytes content) {
    test::Sample out;
    out.suite = GetParam();
    out.images = {{"stream", std::move(content)}};
    out.origin = &origin;
    return out;
  }
  std::vector<ChunkEntry>& entries() { return forge.page<ImagePage>().records[0].inline_entries; }
  Result<Bytes> read() {
    CKPTSEAL_ASSIGN(const test::Contents contents,
                    read_bytes(forge.build(&origin), trusting(origin)));
    return contents.images.at("stream");
  }
  void expect_refused(const std::string& what) {
    const Result<Bytes> content = read();
    ASSERT_FALSE(content.ok()) << what;
    EXPECT_EQ(content.error().code, Code::integrity) << what << ": " << content.error().message;
  }

  DoubleOrigin origin;
  const Bytes file = seal(sample(content_with_zeros()));
  Forge forge{file, "alice"};
};
INSTANTIATE_TEST_SUITE_P(Suites, ZerosTest,
                         testing::Values(Suite::aes_256_gcm, Suite::chacha20_poly1305,
                                         Suite::aes_256_gcm_exclusive));

TEST_P(ZerosTest, NothingOfThemIsStored) {
  EXPECT_EQ(file.size(), test::small_data_start + C + 2 * page_size + block_size);
  EXPECT_TRUE(entries()[0].is_zeros());
  EXPECT_EQ(entries()[1].offset, test::small_data_start);
  EXPECT_TRUE(entries()[2].is_zeros());
  EXPECT_TRUE(entries()[3].is_zeros());
  for (const std::size_t i : {0U, 2U, 3U}) {
    EXPECT_TRUE(all_zero(entries()[i].tag)) << i;
    EXPECT_TRUE(all_zero(entries()[i].digest)) << i;
  }
  EXPECT_TRUE(read().value() == content_with_zeros());
}

TEST_P(ZerosTest, OneOtherByteIsStored) {
  Bytes content = content_with_zeros();
  content[0] = 1;
  content.back() = 1;
  const Bytes other = seal(sample(content));
  EXPECT_EQ(other.size(), file.size() + C + block_size);
  const Result<test::Contents> contents = read_bytes(other, trusting(origin));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_TRUE(contents.value().images.at("stream") == content);
}

TEST_P(ZerosTest, AnEmptyLastChunkIsNoChunkOfZeros) {
  const Bytes whole = seal(sample(Bytes(2 * C)));
  EXPECT_EQ(whole.size(), test::small_data_start + 2 * page_size + block_size);
  Forge empty_last(whole, "alice");
  std::vector<ChunkEntry>& of = empty_last.page<ImagePage>().records[0].inline_entries;
  ASSERT_EQ(of.size(), 3U);
  EXPECT_EQ(of[2].offset, 0U);
  EXPECT_FALSE(all_zero(of[2].tag));
  EXPECT_TRUE(open_manifest(whole, trusting(origin)).ok());
  EXPECT_TRUE(read_bytes(whole, trusting(origin)).ok());
  of[2] = ChunkEntry::zeros();
  EXPECT_EQ(open_manifest(empty_last.build(&origin), trusting(origin)).error().code,
            Code::integrity)
      << "before a chunk is read";
  const Result<test::Contents> refused = read_bytes(empty_last.build(&origin), trusting(origin));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::integrity);
}

TEST_P(ZerosTest, NeitherTagNorDigestIsThere) {
  entries()[0].tag[15] = 1;
  expect_refused("a tag");
  entries()[0].tag = {};
  entries()[3].tag[0] = 1;
  expect_refused("a tag of the last");
  entries()[3].tag = {};
  EXPECT_TRUE(read().ok()) << "the twin";
  if (is_exclusive(GetParam())) return;
  entries()[2].digest[0] = 1;
  expect_refused("a digest");
  entries()[2].digest = chunk_digest({});
  expect_refused("the digest of nothing");
}

TEST_P(ZerosTest, NoOtherOddOffsetMeansZeros) {
  for (const std::uint64_t offset : {0U, 2U, 3U, 4097U}) {
    entries()[0].offset = offset;
    expect_refused("offset " + std::to_string(offset));
  }
}

// Only the origin can say this, for it signs it: what was stored there has to go.
TEST_P(ZerosTest, TheDataAreaHoldsWhatIsStored) {
  entries()[1] = ChunkEntry::zeros();
  expect_refused("a stored chunk called zeros");
  forge.data.clear();
  expect_refused("and M of the end page as it was");
  forge.page<EndPage>().manifest_offset = test::small_data_start;
  const Result<Bytes> content = read();
  ASSERT_TRUE(content.ok()) << content.error().message;
  EXPECT_TRUE(content.value() == Bytes(3 * C + 100));
}

TEST_P(ZerosTest, WhetherTheyAreLeftOutIsFree) {
  forge.data.resize(3 * C + block_size);
  forge.page<EndPage>().manifest_offset += 2 * C + block_size;
  const std::uint64_t behind = test::small_data_start + C;
  entries()[0].offset = behind;
  forge.replace_chunk(0, 0, false, Bytes(C), entries()[0]);
  entries()[2].offset = behind + C;
  forge.replace_chunk(0, 2, false, Bytes(C), entries()[2]);
  entries()[3].offset = behind + 2 * C;
  forge.replace_chunk(0, 3, true, Bytes(100), entries()[3]);
  const Result<Bytes> content = read();
  ASSERT_TRUE(content.ok()) << content.error().message;
  EXPECT_TRUE(content.value() == content_with_zeros());
}

// In chunk pages as in image records.
TEST_P(ZerosTest, ALargeFileOfZerosIsSmall) {
  test::Sample large = sample(Bytes(std::size_t{64} << 20));
  large.chunk_log2 = standard_chunk_log2;
  const Bytes sealed = seal(large);
  // 129 chunks, the last one empty: two chunk pages, or one of an exclusive file.
  const std::size_t pages = is_exclusive(GetParam()) ? 3 : 4;
  EXPECT_EQ(sealed.size(), test::small_data_start + pages * page_size + block_size);
  const Result<test::Contents> contents = read_bytes(sealed, trusting(origin));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_TRUE(contents.value().images.at("stream") == large.images[0].second);
  Forge in_pages(sealed, "alice");
  in_pages.page<ChunkPage>().entries[5].tag[3] = 1;
  EXPECT_EQ(read_bytes(in_pages.build(&origin), trusting(origin)).error().code, Code::integrity);
}

TEST_P(ZerosTest, TheReaderSaysWhatIsAHole) {
  const UniqueFd fd = test::memory_file(file);
  const test::ReadSettings settings = trusting(origin);
  SealedFile sealed = test::must(SealedFile::open(fd.get()));
  ASSERT_TRUE(sealed.verify_origin(settings.trust()).ok());
  const test::Identities alice = test::identities_for({"alice"});
  const UnlockedSlot slot =
      test::must(find_slot(sealed, {alice, settings.trust(), std::nullopt, {}}));
  const UnlockedFile unlocked = test::must(UnlockedFile::open(sealed, slot));
  Workers workers(2);
  for (Workers* with : {static_cast<Workers*>(nullptr), &workers}) {
    auto reader = test::must(unlocked.read_image(unlocked.images()[0], with));
    for (const bool hole : {true, false, true, true}) {
      const Result<MutableByteView> chunk = reader.next();
      ASSERT_TRUE(chunk.ok()) << chunk.error().message;
      EXPECT_EQ(reader.is_hole(), hole);
      EXPECT_EQ(all_zero(chunk.value()), hole);
    }
    EXPECT_TRUE(reader.next().value().empty());
    EXPECT_FALSE(reader.is_hole()) << "behind the end";
  }
}

}  // namespace
}  // namespace ckptseal
