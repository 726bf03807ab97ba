// SPDX-License-Identifier: Apache-2.0
//
// sealing/trailer.h: docs/format.md, "Trailer". What it means in a file is in evidence_test.cc.
#include "sealing/trailer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "header_parts.h"

namespace ckptseal {
namespace {

using test::some_signature;
using test::unknown_signature;
using test::with_checksum;

constexpr std::uint64_t data_start = 12288;
constexpr std::uint64_t manifest = data_start + 8192;
constexpr std::uint64_t pages = 3;
constexpr std::uint64_t file_size = manifest + pages * page_size + block_size;

Trailer trailer(bool with_signature) {
  Trailer out;
  out.manifest_offset = manifest;
  out.page_count = pages;
  if (with_signature) out.signature = FileSignature(some_signature(0x77));
  return out;
}

Result<Trailer> parse(ByteView bytes, std::uint64_t size = file_size) {
  return Trailer::parse(bytes, size, data_start);
}

bool parses(ByteView bytes) {
  const Result<Trailer> parsed = parse(bytes);
  EXPECT_TRUE(parsed.ok() || parsed.error().code == Code::integrity);
  return parsed.ok();
}

// As a file ends that is so much longer than its manifest needs.
bool parses_as_end(const Trailer& end) {
  const Bytes bytes = end.serialize();
  return parse(bytes, manifest + pages * page_size + end.annex_size + bytes.size()).ok();
}

Bytes back_of(std::uint32_t size) { return ByteWriter().u32(size).zeros(32).take(); }

TEST(TrailerTest, ParseThenSerializeIsIdentity) {
  for (const bool is_signed : {false, true}) {
    const Bytes bytes = trailer(is_signed).serialize();
    ASSERT_EQ(bytes.size(), block_size);
    EXPECT_EQ(Trailer::size_in(ByteView(bytes).last(trailer_back_size)).value(), block_size);
    const Result<Trailer> parsed = parse(bytes);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value().serialize(), bytes);
    EXPECT_EQ(parsed.value().signature.is_none(), !is_signed);
  }
}

TEST(TrailerTest, HasTheLayoutOfTheFormat) {
  Trailer end = trailer(true);
  end.annex_size = 4096;
  end.evidence = Bytes(5, 0xee);
  const Bytes bytes = end.serialize();
  EXPECT_EQ(to_hex(ByteView(bytes).first(32)),
            "434b53545241494c"
            "0000000000005000"
            "0000000000000003"
            "0000100000000005");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(32, 11)), "eeeeeeeeee000100407777");
  EXPECT_EQ(to_hex(ByteView(bytes).last(36).first(4)), "00001000");
}

// T is the smallest multiple of 4096 that holds it: 32, evidence, 4 and the signature, 36.
TEST(TrailerTest, IsAsLargeAsItHasToBe) {
  const auto size_with = [](std::size_t evidence, std::size_t signature) {
    Trailer end = trailer(true);
    end.evidence = Bytes(evidence, 1);
    if (signature != 64) end.signature = unknown_signature(signature);
    EXPECT_TRUE(parses_as_end(end)) << evidence << " " << signature;
    return end.serialize().size();
  };
  EXPECT_EQ(size_with(4096 - 136, 64), 4096U);
  EXPECT_EQ(size_with(4096 - 135, 64), 8192U);
  EXPECT_EQ(size_with(32768, 64), 36864U);
  EXPECT_EQ(size_with(0, 16384), 20480U);
  EXPECT_EQ(size_with(32768, 16384), 53248U) << "the largest there is";
}

TEST(TrailerTest, ALargerOneThanNeededIsRefused) {
  Bytes larger = trailer(true).serialize();
  larger.resize(8192);
  std::fill(larger.begin() + 4096 - 36, larger.begin() + 4096, std::uint8_t{0});
  larger[8192 - 34] = 0x20;  // T
  EXPECT_FALSE(parse(with_checksum(larger), file_size + 4096).ok());
  Trailer twin = trailer(true);
  twin.evidence = Bytes(4096, 1);
  EXPECT_TRUE(parses_as_end(twin));
}

TEST(TrailerTest, SizesOutOfBoundsAreRefused) {
  for (const std::uint32_t size : {4096U, 8192U, 65536U}) {
    EXPECT_EQ(Trailer::size_in(back_of(size)).value(), size);
  }
  for (const std::uint32_t size : {0U, 1U, 4095U, 4097U, 61441U, 65537U, 69632U, 0xfffff000U}) {
    EXPECT_FALSE(Trailer::size_in(back_of(size)).ok()) << size;
  }
  EXPECT_FALSE(Trailer::size_in({}).ok());
  EXPECT_FALSE(Trailer::size_in(ByteView(back_of(4096)).first(35)).ok());
  EXPECT_FALSE(Trailer::size_in(ByteWriter().bytes(back_of(4096)).u8(0).view()).ok());
}

TEST(TrailerTest, TheChecksumSeesEveryByte) {
  const Bytes good = trailer(true).serialize();
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes other = good;
    other[at] ^= 1;
    EXPECT_FALSE(parses(other)) << at;
  }
  EXPECT_FALSE(parses(with_checksum(Bytes(4096))));
}

// 32 the algorithm, 34 its length, 36 the signature, 100 zeros, 4060 T.
TEST(TrailerTest, EachRuleBrokenUnderARightChecksum) {
  const auto parses_with = [](std::size_t at, std::uint8_t value, bool is_signed = true) {
    Bytes block = trailer(is_signed).serialize();
    block[at] = value;
    return parses(with_checksum(block));
  };
  EXPECT_TRUE(parses_with(37, 0x78)) << "another signature is no matter of form";
  EXPECT_TRUE(parses_with(33, 2)) << "nor is another algorithm";
  EXPECT_FALSE(parses_with(0, 'c')) << "magic";
  EXPECT_FALSE(parses_with(15, 1)) << "M is not aligned";
  EXPECT_FALSE(parses_with(8, 0x80)) << "M is absurd";
  EXPECT_FALSE(parses_with(23, 0)) << "no pages";
  EXPECT_FALSE(parses_with(23, 4)) << "pages and size disagree";
  EXPECT_FALSE(parses_with(16, 0xff)) << "pages are absurd";
  EXPECT_FALSE(parses_with(26, 0x10)) << "an annex that is not there";
  EXPECT_FALSE(parses_with(27, 1)) << "an annex that is not aligned";
  EXPECT_FALSE(parses_with(31, 1)) << "evidence that is not there";
  EXPECT_FALSE(parses_with(28, 0xff)) << "absurd evidence";
  EXPECT_FALSE(parses_with(33, 0)) << "a signature under algorithm 0";
  EXPECT_FALSE(parses_with(35, 0x3f)) << "a short signature";
  EXPECT_FALSE(parses_with(35, 0x41)) << "a long signature";
  EXPECT_FALSE(parses_with(36, 1, false)) << "a signature under algorithm 0";
  EXPECT_FALSE(parses_with(33, 2, false)) << "an algorithm without a signature";
  EXPECT_FALSE(parses_with(100, 1)) << "first byte of the zeros";
  EXPECT_FALSE(parses_with(4059, 1)) << "last byte of the zeros";
}

TEST(TrailerTest, EvidenceHasALimit) {
  Trailer end = trailer(true);
  end.evidence = Bytes(32768, 1);
  EXPECT_TRUE(parses_as_end(end));
  end.evidence.push_back(1);
  EXPECT_FALSE(parses_as_end(end));
}

TEST(TrailerTest, AnnexesHaveALimit) {
  Trailer end = trailer(true);
  for (const std::uint32_t size : {0U, 4096U, 1048576U}) {
    end.annex_size = size;
    EXPECT_TRUE(parses_as_end(end)) << size;
  }
  for (const std::uint32_t size : {1U, 4095U, 4097U, 1048576U + 4096, 0xfffff000U}) {
    end.annex_size = size;
    EXPECT_FALSE(parses_as_end(end)) << size;
  }
}

TEST(TrailerTest, TheManifestLiesBehindTheDataAreaAndFillsTheFile) {
  const auto parses_as = [](const Trailer& t, std::uint64_t size) {
    return parse(t.serialize(), size).ok();
  };
  Trailer t = trailer(true);
  EXPECT_TRUE(parses_as(t, file_size));
  EXPECT_FALSE(parses_as(t, file_size + 1));
  EXPECT_FALSE(parses_as(t, file_size - 1));
  EXPECT_FALSE(parses_as(t, file_size + block_size));
  t.manifest_offset = data_start;
  EXPECT_TRUE(parses_as(t, data_start + pages * page_size + block_size)) << "no data at all";
  t.manifest_offset = data_start - block_size;
  EXPECT_FALSE(parses_as(t, data_start - block_size + pages * page_size + block_size));
  // M + 4096 P + T that wraps around to the size.
  t.manifest_offset = 0 - pages * page_size;
  EXPECT_FALSE(parses_as(t, block_size));
  t = trailer(true);
  t.page_count = largest_page_count;
  EXPECT_TRUE(parses_as(t, manifest + t.page_count * page_size + block_size));
  ++t.page_count;
  EXPECT_FALSE(parses_as(t, manifest + t.page_count * page_size + block_size));
  t.page_count = std::uint64_t{1} << 52;  // times 4096 it is 0
  EXPECT_FALSE(parses_as(t, manifest + block_size));
}

// The definitions, written out.
TEST(TrailerTest, TheOriginSignsImmutablePartManifestAndEvidence) {
  Digest manifest_digest{};
  manifest_digest[31] = 1;
  ByteWriter file;
  file.bytes(as_bytes("ckpt-seal/v1/file")).bytes(Sha256::of(as_bytes("immutable")));
  file.bytes(manifest_digest);
  const Digest file_digest = file_digest_of(as_bytes("immutable"), manifest_digest);
  EXPECT_EQ(file_digest, Sha256::of(file.view()));
  ByteWriter origin;
  origin.bytes(as_bytes("ckpt-seal/v1/origin")).bytes(file_digest);
  origin.bytes(Sha256::of(as_bytes("evidence")));
  EXPECT_EQ(origin_digest_of(file_digest, as_bytes("evidence")), Sha256::of(origin.view()));
  EXPECT_NE(origin_digest_of(file_digest, {}), origin_digest_of(file_digest, as_bytes("e")));
}

}  // namespace
}  // namespace ckptseal
