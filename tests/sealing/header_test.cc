// SPDX-License-Identifier: Apache-2.0
//
// sealing/header.h: one encoding, and each rule of docs/format.md, "Preamble" and "Header copies",
// broken that one copy alone can break.
#include "sealing/header.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "header_parts.h"

namespace ckptseal {
namespace {

using test::added_slot_of;
using test::changed;
using test::expect_refused;
using test::immutable_part;
using test::slot_of;
using test::some_signature;
using test::unknown_signature;
using test::with_checksum;

constexpr std::size_t H = 8192;

Secret header_key() { return std::move(Secret::copy_of(Bytes(32, 9))).value(); }

HeaderBlock sealed_for(const std::vector<Slot>& slots) {
  return std::move(first_header(immutable_part(), slots)).value();
}

// What became of a file for a slot of 64 bytes.
HeaderBlock later(const std::vector<Slot>& slots, std::uint64_t generation) {
  HeaderBlock header = sealed_for({slot_of(64)});
  header.generation = generation;
  header.slots = slots;
  header.slot_bytes = serialize_slots(slots);
  header.change = HeaderChange{{}, 1767300000, FileSignature(some_signature(6))};
  header.change->changer.fill(7);
  return header;
}

Result<HeaderBlock> reread(const HeaderBlock& header) {
  return HeaderBlock::parse(header.serialize(header_key()));
}

TEST(PreambleTest, HasOneEncoding) {
  for (unsigned log2 = 12; log2 <= 22; ++log2) {
    const Bytes block = build_preamble(log2);
    ASSERT_EQ(block.size(), block_size);
    const Result<unsigned> parsed = parse_preamble(block);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value(), log2);
  }
}

TEST(PreambleTest, EveryOtherByteIsRefused) {
  const Bytes block = build_preamble(12);
  for (std::size_t at = 0; at < block.size(); ++at) {
    if (at == 10) continue;
    expect_refused(parse_preamble(changed(block, at, block[at] ^ 1)), std::to_string(at));
  }
  for (const unsigned log2 : {0U, 11U, 23U, 255U}) {
    expect_refused(parse_preamble(changed(block, 10, static_cast<std::uint8_t>(log2))), "log2");
  }
  expect_refused(parse_preamble({}), "empty");
  expect_refused(parse_preamble(ByteView(block).first(10)), "short");
  expect_refused(parse_preamble(ByteView(block).first(block_size - 1)), "a byte short");
}

TEST(HeaderBlockTest, IsReadAsItWasBuilt) {
  const HeaderBlock sealed = sealed_for({slot_of(64), slot_of(100)});
  HeaderBlock unsigned_one = later({slot_of(64)}, 2);
  unsigned_one.change = HeaderChange{};
  HeaderBlock newer = later({slot_of(64)}, 2);
  newer.change->signature = unknown_signature(700);
  for (const HeaderBlock& header :
       {sealed, later({slot_of(64), added_slot_of(100, 3)}, 3), unsigned_one, newer}) {
    const Bytes block = header.serialize(header_key());
    ASSERT_EQ(block.size(), H);
    const Result<HeaderBlock> parsed = HeaderBlock::parse(block);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed.value().generation, header.generation);
    EXPECT_EQ(parsed.value().immutable_bytes, header.immutable_bytes);
    EXPECT_EQ(parsed.value().slot_list, header.slot_list);
    EXPECT_EQ(parsed.value().slots.size(), header.slots.size());
    ASSERT_EQ(parsed.value().change.has_value(), header.generation > 1);
    if (header.change) {
      EXPECT_EQ(parsed.value().change->time, header.change->time);
    }
    EXPECT_TRUE(parsed.value().mac_fits(header_key()));
    EXPECT_FALSE(parsed.value().mac_fits(std::move(Secret::copy_of(Bytes(32, 10))).value()));
    EXPECT_EQ(parsed.value().serialize(header_key()), block);
  }
}

TEST(HeaderBlockTest, TheChecksumSeesEveryByte) {
  const Bytes block = later({slot_of(64), added_slot_of(100, 3)}, 3).serialize(header_key());
  for (std::size_t at = 0; at < block.size(); ++at) {
    expect_refused(HeaderBlock::parse(changed(block, at, block[at] ^ 0x40)), std::to_string(at));
  }
}

// 28 + I = 190 the list, 222 the slots, 296 the MAC, 328 zeros.
TEST(HeaderBlockTest, EachRuleBrokenUnderARightChecksum) {
  const Bytes good = sealed_for({slot_of(64)}).serialize(header_key());
  const auto refused = [&](std::size_t at, std::uint8_t value, const char* rule) {
    expect_refused(HeaderBlock::parse(with_checksum(changed(good, at, value))), rule);
  };
  ASSERT_TRUE(HeaderBlock::parse(with_checksum(good)).ok());
  refused(0, 'X', "magic");
  refused(15, 0, "generation 0");
  refused(16, 0xff, "I absurd");
  refused(19, 163, "I one more");
  refused(19, 161, "I one less");
  refused(20, 0xff, "L absurd");
  refused(21, 1, "L of 65537");
  refused(23, 0, "no list");
  refused(23, 2, "L one more");
  refused(24, 0xff, "S absurd");
  refused(27, good[27] + 1, "S one more");
  refused(27, good[27] - 1, "S one less");
  refused(28 + 4, 14, "H other than the block's");
  refused(328, 1, "first byte of the zeros");
  refused(H - 33, 1, "last byte of the zeros");
  EXPECT_TRUE(HeaderBlock::parse(with_checksum(changed(good, 300, 1))).ok())
      << "of the MAC the checksum knows nothing";
  Bytes overflow = good;  // all lengths together wrap around in 32 bits
  std::fill_n(overflow.begin() + 16, 4, std::uint8_t{0xff});
  std::fill_n(overflow.begin() + 24, 4, std::uint8_t{0xff});
  expect_refused(HeaderBlock::parse(with_checksum(overflow)), "lengths");
}

TEST(HeaderBlockTest, ShortBlocksAreRefused) {
  const Bytes block = sealed_for({slot_of(64)}).serialize(header_key());
  for (std::size_t size = 0; size < 400; ++size) {
    expect_refused(HeaderBlock::parse(ByteView(block).first(size)), std::to_string(size));
  }
  expect_refused(HeaderBlock::parse(with_checksum(Bytes(H))), "zeros");
}

TEST(HeaderBlockTest, TheSlotListIsThatOfTheImmutablePart) {
  HeaderBlock header = sealed_for({slot_of(64), slot_of(100)});
  ASSERT_TRUE(reread(header).ok());
  header.slot_list[0] ^= 1;
  expect_refused(reread(header), "another digest");
  header = later({slot_of(64)}, 2);
  ASSERT_TRUE(reread(header).ok());
  header.slot_list.back() ^= 1;
  expect_refused(reread(header), "another digest, later");
  header = later({slot_of(64)}, 2);
  header.slot_list = slot_list_of({slot_of(64), slot_of(100)});
  expect_refused(reread(header), "one digest more, later");
}

TEST(HeaderBlockTest, AtItsSealingTheSlotsAreThoseOfTheList) {
  const std::vector<Slot> slots = {slot_of(64), slot_of(100)};
  const auto with = [&](const std::vector<Slot>& others) {
    HeaderBlock header = sealed_for(slots);
    header.slots = others;
    header.slot_bytes = serialize_slots(others);
    return reread(header);
  };
  EXPECT_TRUE(with(slots).ok());
  expect_refused(with({slots[1], slots[0]}), "reordered");
  expect_refused(with({slots[0]}), "the last one missing");
  expect_refused(with({slots[1]}), "the first one missing");
  expect_refused(with({slots[0], slots[1], slots[1]}), "one twice");
  expect_refused(with({slot_of(9), slots[0], slots[1]}), "a foreign one in front");
  expect_refused(with({slots[0], slot_of(101)}), "exchanged");
  expect_refused(with({slots[0], added_slot_of(100, 2)}), "an adder");
}

// Whether somebody vouches for them is not a matter of form.
TEST(HeaderBlockTest, LaterTheSlotsMayBeOthers) {
  for (const std::vector<Slot>& slots :
       {std::vector<Slot>{slot_of(9)}, {slot_of(9), slot_of(64)}, {added_slot_of(64, 2)}}) {
    EXPECT_TRUE(reread(later(slots, 2)).ok());
  }
  expect_refused(reread(later({}, 2)), "none at all");
}

TEST(HeaderBlockTest, GenerationsHaveALimit) {
  constexpr std::uint64_t last = (std::uint64_t{1} << 63) - 1;
  EXPECT_TRUE(reread(later({slot_of(64)}, last)).ok());
  expect_refused(reread(later({slot_of(64)}, last + 1)), "2^63");
  expect_refused(reread(later({slot_of(64)}, UINT64_MAX)), "2^64 - 1");
}

TEST(HeaderBlockTest, ASlotWasAddedInAGenerationThatWas) {
  for (const std::uint64_t generation : {2U, 3U, 5U}) {
    EXPECT_TRUE(reread(later({added_slot_of(9, generation)}, 5)).ok()) << generation;
  }
  for (const std::uint64_t generation :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{6}, UINT64_MAX}) {
    expect_refused(reread(later({added_slot_of(9, generation)}, 5)), "added at no time");
  }
}

TEST(HeaderBlockTest, AChangeIsThereFromTheSecondGenerationOn) {
  HeaderBlock header = later({slot_of(64)}, 2);
  header.change.reset();
  expect_refused(reread(header), "no change");
  for (const bool is_signed : {true, false}) {
    header = sealed_for({slot_of(64)});
    header.change = later({}, 2).change;
    if (!is_signed) header.change = HeaderChange{};
    expect_refused(reread(header), "a change at the sealing");
  }
}

TEST(HeaderBlockTest, WhoeverIsNamedHasSignedTheChange) {
  HeaderBlock header = later({slot_of(64)}, 2);
  header.change->signature = {};
  expect_refused(reread(header), "a changer who has not signed");
  header = later({slot_of(64)}, 2);
  header.change->changer = {};
  expect_refused(reread(header), "a signature of nobody");
}

// The definition, written out.
TEST(HeaderBlockTest, WhatAChangerSigns) {
  HeaderBlock header = later({slot_of(64)}, 0x0102030405060708);
  header.change->time = 0x1112131415161718;
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/slots")).bytes(Sha256::of(header.immutable_bytes));
  out.bytes(header.change->changer).u64(0x0102030405060708).u64(0x1112131415161718);
  out.bytes(Sha256::of(serialize_slots({slot_of(64)})));
  EXPECT_EQ(header.change_digest(), Sha256::of(out.view()));
}

TEST(HeaderBlockTest, AnExclusiveFileHasOneSlotForEver) {
  const auto sealed_with = [](Suite suite, std::vector<Slot> slots) {
    ImmutablePart part = immutable_part();
    part.suite = suite;
    part.depth = 0;
    part.parent = {};
    return std::move(first_header(part, std::move(slots))).value();
  };
  Slot slot = slot_of(64);
  for (const Suite suite : {Suite::aes_256_gcm_exclusive, Suite::chacha20_poly1305_exclusive}) {
    for (const std::uint16_t kind : {std::uint16_t{1}, std::uint16_t{3}, std::uint16_t{6}}) {
      slot.body.kind = kind;
      EXPECT_TRUE(reread(sealed_with(suite, {slot})).ok()) << kind;
      expect_refused(reread(sealed_with(suite, {slot, slot_of(5)})), "two");
      HeaderBlock changed_one = sealed_with(suite, {slot});
      changed_one.generation = 2;
      changed_one.change = HeaderChange{};
      expect_refused(reread(changed_one), "a later generation");
    }
    for (const int kind : {2, 4, 5, 7, 0x7e57}) {
      slot.body.kind = static_cast<std::uint16_t>(kind);
      expect_refused(reread(sealed_with(suite, {slot})), "kind " + std::to_string(kind));
      EXPECT_TRUE(reread(sealed_with(Suite::aes_256_gcm, {slot})).ok()) << "the twin";
    }
  }
}

TEST(HeaderSizeTest, LeavesRoomForAsManySlotsAgain) {
  const auto log2 = [](std::size_t count, std::size_t size) -> Result<unsigned> {
    CKPTSEAL_ASSIGN(const HeaderBlock header,
                    first_header(ImmutablePart{}, std::vector<Slot>(count, slot_of(size))));
    EXPECT_EQ(header.serialize(header_key()).size(), header.immutable.header_size());
    return header.immutable.header_log2;
  };
  EXPECT_EQ(log2(1, 100).value(), 13U);
  // s = 28 + I + 32 L + S + 64: s + 6144 is 8192 exactly, and one more; 2 s is 16384, and one more.
  constexpr std::size_t frame = 28 + 162 + 32 + 64 + 2 + 8;
  EXPECT_EQ(log2(1, 2048 - frame).value(), 13U);
  EXPECT_EQ(log2(1, 2048 - frame + 1).value(), 14U);
  EXPECT_EQ(log2(1, 8192 - frame).value(), 14U);
  EXPECT_EQ(log2(1, 8192 - frame + 1).value(), 15U);
  EXPECT_EQ(log2(32, 65000).value(), 22U);
  const auto too_many = log2(33, 65000);
  ASSERT_FALSE(too_many.ok());
  EXPECT_EQ(too_many.error().code, Code::usage);
  // 41 bytes for the smallest slot, in half of 4 MiB.
  EXPECT_EQ(log2(51143, 1).value(), 22U);
  EXPECT_FALSE(log2(51144, 1).ok());
}

TEST(HeaderSizeTest, AllOfABlockCanBeUsed) {
  const std::size_t room = H - 28 - 162 - 32 - 44 - 64 - 2 - 8;
  HeaderBlock header = later({slot_of(room)}, 2);
  header.change = HeaderChange{};
  EXPECT_TRUE(header.fits(H));
  EXPECT_TRUE(reread(header).ok());
  header = later({slot_of(room + 1)}, 2);
  header.change = HeaderChange{};
  EXPECT_FALSE(header.fits(H));
  header.slots.assign(65536, slot_of(1));
  header.slot_bytes.clear();
  EXPECT_FALSE(header.fits(H)) << "more slots than can be counted";
}

}  // namespace
}  // namespace ckptseal
