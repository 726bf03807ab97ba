// SPDX-License-Identifier: Apache-2.0
//
// sealing/trailer.h: docs/format.md, "Trailer".
#include "sealing/trailer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ckptseal {
namespace {

constexpr std::uint64_t data_start = 135168;
constexpr std::uint64_t manifest = data_start + 8192;
constexpr std::uint64_t pages = 3;
constexpr std::uint64_t file_size = manifest + pages * page_size + block_size;

Trailer trailer(bool with_signature) {
  Trailer out{manifest, pages, std::nullopt};
  if (with_signature) {
    out.signature = EcdsaSignature{};
    out.signature->fill(0x77);
  }
  return out;
}

Bytes with_checksum(Bytes block) {
  const Digest sum = Sha256::of(ByteView(block).first(block.size() - 32));
  std::copy(sum.begin(), sum.end(), block.end() - 32);
  return block;
}

bool parses(ByteView block) {
  const Result<Trailer> parsed = Trailer::parse(block, file_size, data_start);
  EXPECT_TRUE(parsed.ok() || parsed.error().code == Code::integrity);
  return parsed.ok();
}

TEST(TrailerTest, ParseThenSerializeIsIdentity) {
  for (const bool is_signed : {false, true}) {
    const Bytes bytes = trailer(is_signed).serialize();
    ASSERT_EQ(bytes.size(), block_size);
    const Result<Trailer> parsed = Trailer::parse(bytes, file_size, data_start);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value().serialize(), bytes);
    EXPECT_EQ(parsed.value().signature.has_value(), is_signed);
    EXPECT_EQ(parsed.value().manifest_end(), file_size - block_size);
  }
}

TEST(TrailerTest, TheChecksumSeesEveryByte) {
  const Bytes good = trailer(true).serialize();
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes other = good;
    other[at] ^= 1;
    EXPECT_FALSE(parses(other)) << at;
  }
  EXPECT_FALSE(parses({}));
  EXPECT_FALSE(parses(ByteView(good).first(4095)));
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(parses(longer));
}

TEST(TrailerTest, EachRuleBrokenUnderARightChecksum) {
  const auto parses_with = [](std::size_t at, std::uint8_t value, bool is_signed = true) {
    Bytes block = trailer(is_signed).serialize();
    block[at] = value;
    return parses(with_checksum(block));
  };
  EXPECT_TRUE(parses_with(27, 0x78)) << "another signature is no matter of form";
  EXPECT_FALSE(parses_with(0, 'c')) << "magic";
  EXPECT_FALSE(parses_with(15, 1)) << "M is not aligned";
  EXPECT_FALSE(parses_with(8, 0x80)) << "M is absurd";
  EXPECT_FALSE(parses_with(23, 0)) << "no pages";
  EXPECT_FALSE(parses_with(23, 4)) << "pages and size disagree";
  EXPECT_FALSE(parses_with(16, 0xff)) << "pages are absurd";
  EXPECT_FALSE(parses_with(25, 2)) << "unknown algorithm";
  EXPECT_FALSE(parses_with(24, 1)) << "unknown algorithm";
  EXPECT_FALSE(parses_with(25, 0)) << "a signature under algorithm 0";
  EXPECT_FALSE(parses_with(26, 1, false)) << "a signature under algorithm 0";
  EXPECT_FALSE(parses_with(90, 1)) << "first byte of the zeros";
  EXPECT_FALSE(parses_with(4063, 1)) << "last byte of the zeros";
}

TEST(TrailerTest, TheManifestLiesBehindTheDataAreaAndFillsTheFile) {
  const auto parses_as = [](Trailer t, std::uint64_t size) {
    return Trailer::parse(t.serialize(), size, data_start).ok();
  };
  Trailer t = trailer(true);
  EXPECT_TRUE(parses_as(t, file_size));
  EXPECT_FALSE(parses_as(t, file_size + 1));
  EXPECT_FALSE(parses_as(t, file_size - 1));
  t.manifest_offset = data_start;
  EXPECT_TRUE(parses_as(t, data_start + pages * page_size + block_size)) << "no data at all";
  t.manifest_offset = data_start - block_size;
  EXPECT_FALSE(parses_as(t, data_start - block_size + pages * page_size + block_size));
  // M + 16384 * pages + 4096 that wraps around to the size.
  t.manifest_offset = 0 - pages * page_size;
  EXPECT_FALSE(parses_as(t, block_size));
  t = trailer(true);
  t.page_count = largest_page_count;
  EXPECT_TRUE(parses_as(t, t.manifest_end() + block_size));
  ++t.page_count;
  EXPECT_FALSE(parses_as(t, t.manifest_end() + block_size));
}

TEST(TrailerTest, TheSignatureCoversImmutablePartAndManifest) {
  const Digest base = file_signature_digest(as_bytes("immutable"), Digest{});
  EXPECT_NE(base, file_signature_digest(as_bytes("immutablf"), Digest{}));
  Digest other{};
  other[31] = 1;
  EXPECT_NE(base, file_signature_digest(as_bytes("immutable"), other));
}

}  // namespace
}  // namespace ckptseal
