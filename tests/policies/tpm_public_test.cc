// SPDX-License-Identifier: Apache-2.0
//
// Public areas made by hand: what parses, and what each role refuses. Areas that a TPM made are in
// policies_swtpm_test.cc.
#include "policies/tpm_public.h"

#include <gtest/gtest.h>

#include <functional>

#include "ecc_area.h"

namespace ckptseal {
namespace {

using test::EccArea;
using test::ecdsa_area;

constexpr std::uint32_t attestation_attributes = 0x00050472;
constexpr std::uint32_t signing_attributes = 0x00040472;

// All of TPMA_OBJECT. stClear, userWithAuth, adminWithPolicy, noDA, encryptedDuplication and
// x509sign count as much as those that say what a key is for.
constexpr unsigned attribute_bits[] = {1, 2, 4, 5, 6, 7, 10, 11, 16, 17, 18, 19};

TpmPublic parse(const EccArea& area) { return TpmPublic::parse(area.marshal()).value(); }

void expect_integrity(const Status& status, std::string_view word) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::integrity);
  EXPECT_NE(status.error().message.find(word), std::string::npos) << status.error().message;
}

TEST(TpmPublic, NameIsTheHashOfTheArea) {
  const Bytes area = EccArea().marshal();
  const TpmPublic key = parse(EccArea());
  EXPECT_EQ(key.marshalled(), area);
  const Digest digest = Sha256::of(area);
  EXPECT_EQ(to_hex(key.name()), "000b" + to_hex(digest));
}

TEST(TpmPublic, RefusesEveryCutAndAnyTail) {
  Bytes area = EccArea().marshal();
  for (std::size_t size = 0; size < area.size(); ++size) {
    const auto cut = TpmPublic::parse(ByteView(area).first(size));
    ASSERT_FALSE(cut.ok()) << size;
    EXPECT_EQ(cut.error().code, Code::integrity) << size;
  }
  area.push_back(0);
  EXPECT_FALSE(TpmPublic::parse(area).ok());
  area.resize(513);
  EXPECT_FALSE(TpmPublic::parse(area).ok());
}

TEST(TpmPublic, RefusesOtherNamesAndOddTypes) {
  EccArea sha1;
  sha1.name_algorithm = 0x0004;
  EXPECT_FALSE(TpmPublic::parse(sha1.marshal()).ok());
  EccArea unknown;
  unknown.type = 0x7777;
  EXPECT_FALSE(TpmPublic::parse(unknown.marshal()).ok());
  EccArea long_coordinate;
  long_coordinate.x.assign(300, 1);
  EXPECT_FALSE(TpmPublic::parse(long_coordinate.marshal()).ok());
}

// No byte of an area may be changed without a change of what it says: whatever still parses has
// another Name.
TEST(TpmPublic, AFlippedByteGivesAnErrorOrAnotherName) {
  const Bytes area = EccArea().marshal();
  const TpmName name = parse(EccArea()).name();
  for (std::size_t at = 0; at < area.size(); ++at) {
    Bytes flipped = area;
    flipped[at] ^= 0x40;
    const auto other = TpmPublic::parse(flipped);
    if (!other.ok()) continue;
    EXPECT_NE(other.value().name(), name) << at;
    EXPECT_EQ(other.value().marshalled(), flipped) << at;
  }
}

TEST(TpmPublic, EachRoleTakesItsOwnKindAlone) {
  const TpmPublic parent = parse(EccArea());
  const TpmPublic attestation = parse(ecdsa_area(attestation_attributes));
  const TpmPublic signing = parse(ecdsa_area(signing_attributes));
  EXPECT_TRUE(parent.require(KeyRole::storage_parent).ok());
  EXPECT_TRUE(attestation.require(KeyRole::attestation_key).ok());
  EXPECT_TRUE(signing.require(KeyRole::signing_key).ok());

  expect_integrity(parent.require(KeyRole::attestation_key), "sign is not set");
  expect_integrity(parent.require(KeyRole::signing_key), "restricted is set");
  expect_integrity(attestation.require(KeyRole::signing_key), "restricted is set");
  expect_integrity(attestation.require(KeyRole::storage_parent), "decrypt is not set");
  expect_integrity(signing.require(KeyRole::attestation_key), "restricted is not set");
  expect_integrity(signing.require(KeyRole::storage_parent), "sign is set");
}

TEST(TpmPublic, EachAttributeCounts) {
  for (const unsigned number : attribute_bits) {
    const std::uint32_t bit = 1U << number;
    EccArea parent;
    parent.attributes ^= bit;
    expect_integrity(parse(parent).require(KeyRole::storage_parent), "set");
    EXPECT_FALSE(
        parse(ecdsa_area(attestation_attributes ^ bit)).require(KeyRole::attestation_key).ok())
        << bit;
    EXPECT_FALSE(parse(ecdsa_area(signing_attributes ^ bit)).require(KeyRole::signing_key).ok())
        << bit;
  }
}

TEST(TpmPublic, ParametersOfAParentCount) {
  const std::vector<std::pair<std::string, std::function<void(EccArea&)>>> faults = {
      {"curve", [](EccArea& area) { area.curve = 0x0004; }},
      {"AES-128-CFB", [](EccArea& area) { area.symmetric = {0x00, 0x06, 0x01, 0x00, 0x00, 0x43}; }},
      {"AES-128-CFB", [](EccArea& area) { area.symmetric = {0x00, 0x06, 0x00, 0x80, 0x00, 0x42}; }},
      {"AES-128-CFB", [](EccArea& area) { area.symmetric = {0x00, 0x26, 0x00, 0x80, 0x00, 0x43}; }},
      {"AES-128-CFB",
       [](EccArea& area) {
         area.symmetric = {0x00, 0x10};
       }},
      {"scheme",
       [](EccArea& area) {
         area.scheme = {0x00, 0x19, 0x00, 0x0b};
       }},
  };
  for (const auto& [word, fault] : faults) {
    EccArea area;
    fault(area);
    expect_integrity(parse(area).require(KeyRole::storage_parent), word);
  }
}

TEST(TpmPublic, ParametersOfASignerCount) {
  const std::vector<std::pair<std::string, std::function<void(EccArea&)>>> faults = {
      {"curve", [](EccArea& area) { area.curve = 0x0004; }},
      {"scheme",
       [](EccArea& area) {
         area.scheme = {0x00, 0x10};
       }},
      {"scheme",
       [](EccArea& area) {
         area.scheme = {0x00, 0x18, 0x00, 0x04};
       }},
      {"scheme",
       [](EccArea& area) {
         area.scheme = {0x00, 0x1c, 0x00, 0x0b};
       }},
      {"symmetric", [](EccArea& area) { area.symmetric = {0x00, 0x06, 0x00, 0x80, 0x00, 0x43}; }},
  };
  for (const auto& [word, fault] : faults) {
    EccArea area = ecdsa_area(signing_attributes);
    fault(area);
    expect_integrity(parse(area).require(KeyRole::signing_key), word);
    area.attributes = attestation_attributes;
    expect_integrity(parse(area).require(KeyRole::attestation_key), word);
  }
}

TEST(TpmPublic, AnRsaKeyHasNoRoleAndNoPoint) {
  ByteWriter area;
  area.u16(0x0001).u16(0x000b).u32(0x00030472).u16(0);
  area.u16(0x0006).u16(128).u16(0x0043).u16(0x0010).u16(2048).u32(0);
  area.u16(256).bytes(Bytes(256, 0xab));
  const TpmPublic key = TpmPublic::parse(area.view()).value();
  expect_integrity(key.require(KeyRole::storage_parent), "elliptic-curve");
  EXPECT_FALSE(key.p256_point().ok());
}

TEST(TpmPublic, CoordinatesArePadded) {
  EccArea area;
  area.x.assign(31, 0x77);
  const EcPoint point = parse(area).p256_point().value();
  EXPECT_EQ(to_hex(point.x), "00" + to_hex(area.x));
  EXPECT_EQ(to_hex(point.y), to_hex(area.y));

  area.x.assign(33, 0x77);
  EXPECT_FALSE(parse(area).p256_point().ok());
  area.x.clear();
  EXPECT_FALSE(parse(area).p256_point().ok());
  area.x.assign(32, 1);
  area.curve = 0x0004;
  EXPECT_FALSE(parse(area).p256_point().ok());
}

}  // namespace
}  // namespace ckptseal
