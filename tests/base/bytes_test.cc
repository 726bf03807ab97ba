// SPDX-License-Identifier: Apache-2.0
//
// base/bytes.h: what is written is read back, and nothing is read past the end.
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace ckptseal {
namespace {

TEST(BytesTest, NumbersAreBigEndian) {
  ByteWriter out;
  out.u8(0x01).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0f).zeros(2).bytes(as_bytes("ab"));
  EXPECT_EQ(to_hex(out.view()), "0102030405060708090a0b0c0d0e0f00006162");
  EXPECT_EQ(out.size(), 19U);
  ByteReader in(out.view());
  EXPECT_EQ(in.u8(), 0x01);
  EXPECT_EQ(in.u16(), 0x0203);
  EXPECT_EQ(in.u32(), 0x04050607U);
  EXPECT_EQ(in.u64(), 0x08090a0b0c0d0e0fU);
  EXPECT_TRUE(all_zero(in.view(2)));
  EXPECT_FALSE(in.at_end());
  EXPECT_EQ(in.remaining(), 2U);
  EXPECT_EQ(as_text(in.rest()), "ab");
  EXPECT_EQ(in.array<2>(), (ByteArray<2>{'a', 'b'}));
  EXPECT_TRUE(in.at_end());
}

TEST(BytesTest, AfterTheFirstShortageEveryAnswerIsZero) {
  const Bytes three = {0xff, 0xff, 0xff};
  ByteReader in(three);
  EXPECT_EQ(in.u32(), 0U);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0U) << "bytes that are left are not read after a shortage";
  EXPECT_TRUE(in.view(1).empty());
  EXPECT_TRUE(all_zero(in.array<4>()));
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_FALSE(in.at_end()) << "a shortage is no proper end";
}

TEST(BytesTest, AReadOfNothingIsNoShortage) {
  ByteReader in(ByteView{});
  EXPECT_TRUE(in.view(0).empty());
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(in.u8(), 0U);
  EXPECT_FALSE(in.ok());
}

TEST(BytesTest, AnAbsurdLengthIsAShortage) {
  const Bytes one = {1};
  ByteReader in(one);
  EXPECT_TRUE(in.view(SIZE_MAX).empty());
  EXPECT_FALSE(in.ok());
}

TEST(BytesTest, HexIsReadInEitherCaseAndWrittenInLower) {
  EXPECT_EQ(to_hex(Bytes{0x00, 0xaf, 0x1b}), "00af1b");
  EXPECT_EQ(from_hex("00AF1b"), (Bytes{0x00, 0xaf, 0x1b}));
  EXPECT_EQ(from_hex(""), Bytes{});
  for (const char* wrong : {"0", "0g", "g0", "0x", " 0", "00 ", "-1"}) {
    EXPECT_EQ(from_hex(wrong), std::nullopt) << wrong;
  }
}

TEST(BytesTest, ComparisonsSeeLengthAndEveryByte) {
  EXPECT_TRUE(same_bytes(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(same_bytes(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(same_bytes(as_bytes("abc"), as_bytes("ab")));
  EXPECT_FALSE(same_bytes(as_bytes("ab"), as_bytes("abc")));
  EXPECT_TRUE(same_bytes({}, {}));
  EXPECT_TRUE(all_zero({}));
  EXPECT_TRUE(all_zero(Bytes(100)));
  for (const std::size_t at : {0U, 1U, 50U, 99U}) {
    Bytes bytes(100);
    bytes[at] = 0x80;
    EXPECT_FALSE(all_zero(bytes)) << at;
  }
  EXPECT_TRUE(all_zero(Bytes(5)));
  EXPECT_FALSE(all_zero(Bytes{0, 0, 1}));
  EXPECT_FALSE(all_zero(Bytes{1, 0, 0}));
}

}  // namespace
}  // namespace ckptseal
