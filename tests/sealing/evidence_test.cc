// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Trailer" and "Annex", in whole files: what the signature of the origin is over,
// and what it is not.
#include <gtest/gtest.h>

#include <algorithm>

#include "forge.h"
#include "header_parts.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::Forge;
using test::read_bytes;

class EvidenceTest : public testing::Test {
 protected:
  Bytes sealed(const DoubleOrigin* by) {
    test::Sample sample;
    sample.origin = by;
    return seal(sample);
  }
  void expect_integrity(const Bytes& file, const std::string& what) {
    for (const bool lenient : {false, true}) {
      test::ReadSettings settings = trusting(origin);
      settings.allow_unsigned = lenient;
      const Result<test::Contents> contents = read_bytes(file, settings);
      ASSERT_FALSE(contents.ok()) << what;
      EXPECT_EQ(contents.error().code, Code::integrity) << what;
    }
  }

  DoubleOrigin origin;
  Forge forge{sealed(&origin), "alice"};
};

TEST_F(EvidenceTest, TheOriginSignsOverIt) {
  for (const std::size_t size : {1U, 5000U, 32768U}) {
    forge.trailer.evidence = Bytes(size, 0xee);
    const Bytes file = forge.build(&origin);
    ASSERT_TRUE(read_bytes(file, trusting(origin)).ok()) << size;
    Forge changed(file, "alice");
    ASSERT_EQ(changed.trailer.evidence.size(), size);
    changed.trailer.evidence.back() ^= 1;
    expect_integrity(changed.build(nullptr), "changed");
    changed.trailer.evidence.clear();
    expect_integrity(changed.build(nullptr), "taken away");
  }
}

TEST_F(EvidenceTest, ItCannotBeAddedLater) {
  forge.trailer.evidence = Bytes(100, 0xee);
  expect_integrity(forge.build(nullptr), "added");
}

TEST_F(EvidenceTest, NobodyProvesAnythingOfAnUnsignedFile) {
  Forge without(sealed(nullptr), "alice");
  ASSERT_TRUE(read_bytes(without.build(nullptr), test::unsigned_allowed()).ok());
  without.trailer.evidence = {1};
  expect_integrity(without.build(nullptr), "evidence of nobody");
}

TEST_F(EvidenceTest, ASignatureOfAnUnknownAlgorithmDoesNotHold) {
  for (const std::size_t size : {64U, 3309U, 16384U}) {
    forge.trailer.signature = test::unknown_signature(size);
    const Bytes file = forge.build(nullptr);
    EXPECT_TRUE(SealedFile::open(test::memory_file(file).get()).ok()) << "it can be told apart";
    expect_integrity(file, "an algorithm that nobody knows");
  }
}

TEST_F(EvidenceTest, SignaturesAreNeitherAddedNorTakenAway) {
  forge.trailer.signature = {};
  expect_integrity(forge.build(nullptr), "taken away");
  Forge without(sealed(nullptr), "alice");
  without.trailer.signature = FileSignature(test::some_signature(7));
  expect_integrity(without.build(nullptr), "added");
  without.trailer.signature = test::unknown_signature(7);
  expect_integrity(without.build(nullptr), "of an unknown algorithm added");
}

// Whatever stands there.
TEST_F(EvidenceTest, TheAnnexIsNotSigned) {
  for (const std::uint32_t size : {4096U, 1048576U}) {
    forge.trailer.annex_size = size;
    Bytes file = forge.build(nullptr);
    EXPECT_TRUE(read_bytes(file, trusting(origin)).ok());
    const auto annex = file.end() - static_cast<std::ptrdiff_t>(block_size + size);
    std::fill(annex, annex + 4096, std::uint8_t{0xaa});
    EXPECT_TRUE(read_bytes(file, trusting(origin)).ok());
    *(annex - 1) ^= 1;
    expect_integrity(file, "the last byte of the manifest");
  }
}

TEST_F(EvidenceTest, ATrailerIsNotLongerThanTheFile) {
  const Bytes file = forge.build(nullptr);
  for (const std::uint32_t size : {0U, 4095U, 8192U, 65536U, 69632U}) {
    Bytes other = file;
    const Bytes number = ByteWriter().u32(size).take();
    std::copy(number.begin(), number.end(), other.end() - 36);
    const Bytes end(other.end() - 4096, other.end());
    const Bytes right = test::with_checksum(end);
    std::copy(right.begin(), right.end(), other.end() - 4096);
    expect_integrity(other, "T " + std::to_string(size));
  }
}

}  // namespace
}  // namespace ckptseal
