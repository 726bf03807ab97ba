// SPDX-License-Identifier: Apache-2.0
//
// ECDH on P-256: the first vector of NIST's CAVP set for ECC CDH, and points with leading zeros,
// which were searched and computed with another library (python3-cryptography).
#include "keymgr/tpm2/ecdh_p256.h"

#include <gtest/gtest.h>

namespace ckptseal {
namespace {

Secret secret(std::string_view hex) { return Secret::copy_of(*from_hex(hex)).value(); }

ByteArray<32> coordinate(std::string_view hex) {
  const Bytes bytes = *from_hex(hex);
  return ByteReader(bytes).array<32>();
}

Secret small_scalar(std::uint16_t value) {
  return Secret::copy_of(ByteWriter().zeros(30).u16(value).view()).value();
}

const EcPoint& peer() {
  static const EcPoint point = {
      coordinate("700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287"),
      coordinate("db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac")};
  return point;
}

TEST(EcdhP256, PublishedVector) {
  const Secret scalar = secret("7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534");
  const EcPoint own = p256_public_point(scalar).value();
  EXPECT_EQ(to_hex(own.x), "ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b230");
  EXPECT_EQ(to_hex(own.y), "28af61281fd35e2fa7002523acc85a429cb06ee6648325389f59edfce1405141");
  EXPECT_EQ(to_hex(p256_shared_x(scalar, peer()).value().view()),
            "46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b");
}

TEST(EcdhP256, LeadingZerosAreKept) {
  EXPECT_EQ(to_hex(p256_public_point(small_scalar(379)).value().x),
            "005543894af3d00ed7d740abdbd75c96b06877b787db5f70eea78b90a8d7c00a");
  EXPECT_EQ(to_hex(p256_public_point(small_scalar(43)).value().y),
            "003cccc0a6460e0ae328a4d97d3c7b61d86fc6289c189f2525110c441bb07e97");
  EXPECT_EQ(to_hex(p256_shared_x(small_scalar(302), peer()).value().view()),
            "0090ecae15bb98b6fb5dd140b47451c89773e3b939326062c0f3ef8a0f996fdb");
}

TEST(EcdhP256, BothSidesAgree) {
  const Secret a = random_p256_scalar().value();
  const Secret b = random_p256_scalar().value();
  const Secret at_a = p256_shared_x(a, p256_public_point(b).value()).value();
  const Secret at_b = p256_shared_x(b, p256_public_point(a).value()).value();
  EXPECT_TRUE(equal_constant_time(at_a.view(), at_b.view()));
  EXPECT_FALSE(equal_constant_time(a.view(), b.view()));
}

TEST(EcdhP256, APointOffTheCurveIsRefused) {
  const EcPoint largest = {
      coordinate("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
      coordinate("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")};
  EcPoint moved = peer();
  moved.y[31] ^= 1;
  EcPoint swapped = {peer().y, peer().x};
  for (const EcPoint& point : {EcPoint{}, largest, moved, swapped}) {
    const auto refused = p256_shared_x(small_scalar(2), point);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::integrity);
  }
}

// x + p is the same residue in another encoding; it fits in 32 bytes for small x only.
TEST(EcdhP256, ACoordinateAboveThePrimeIsRefused) {
  // (0, sqrt(b)) is on the curve; its other encoding has x = p.
  const auto y = coordinate("66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4");
  EXPECT_TRUE(p256_shared_x(small_scalar(2), {{}, y}).ok());
  const auto prime = coordinate("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
  EXPECT_FALSE(p256_shared_x(small_scalar(2), {prime, y}).ok());
}

TEST(EcdhP256, AScalarOutOfRangeIsRefused) {
  const char* order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
  const char* order_less_one = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
  EXPECT_FALSE(p256_public_point(secret(order)).ok());
  EXPECT_FALSE(p256_shared_x(secret(order), peer()).ok());
  EXPECT_TRUE(p256_public_point(secret(order_less_one)).ok());
  EXPECT_FALSE(p256_public_point(small_scalar(0)).ok());
  EXPECT_FALSE(p256_public_point(secret("01")).ok());
  EXPECT_FALSE(p256_shared_x(secret("01"), peer()).ok());
}

}  // namespace
}  // namespace ckptseal
