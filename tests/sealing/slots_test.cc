// SPDX-License-Identifier: Apache-2.0
//
// sealing/slots.h: one encoding of the frame, and each rule of docs/format.md, "Slots", broken that
// needs no header. The others are in header_test.cc and vouching_test.cc.
#include "sealing/slots.h"

#include <gtest/gtest.h>

#include "header_parts.h"

namespace ckptseal {
namespace {

using test::added_slot_of;
using test::changed;
using test::expect_refused;
using test::slot_of;
using test::unknown_signature;

TEST(SlotsTest, ParseThenSerializeIsIdentity) {
  Slot unsigned_one = slot_of(3);
  unsigned_one.adder = SlotAdder{{}, 4, 5, {}};
  Slot newer = added_slot_of(5, 5);
  newer.adder->signature = unknown_signature(3309);
  const std::vector<Slot> slots = {slot_of(1), slot_of(65536), added_slot_of(70, 9), unsigned_one,
                                   newer};
  const Bytes bytes = serialize_slots(slots);
  const Result<std::vector<Slot>> parsed = parse_slots(bytes);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().size(), 5U);
  EXPECT_FALSE(parsed.value()[1].adder);
  EXPECT_EQ(parsed.value()[2].adder->generation, 9U);
  EXPECT_EQ(parsed.value()[2].adder->time, 1767300000U);
  EXPECT_TRUE(parsed.value()[3].adder->signature.is_none());
  EXPECT_EQ(serialize_slots(parsed.value()), bytes);
}

TEST(SlotsTest, EachRuleBroken) {
  const Bytes good = serialize_slots({slot_of(4)});  // count 0-1, kind 2-3, adder 4-5, length 6-9
  ASSERT_TRUE(parse_slots(good).ok());
  expect_refused(parse_slots(changed(good, 1, 0)), "no slots");
  expect_refused(parse_slots(changed(good, 1, 2)), "one too few");
  expect_refused(parse_slots(changed(good, 0, 255)), "many too few");
  expect_refused(parse_slots(changed(good, 5, 2)), "unknown adder");
  expect_refused(parse_slots(changed(good, 4, 1)), "unknown adder");
  expect_refused(parse_slots(changed(good, 5, 1)), "no room for an adder");
  expect_refused(parse_slots(changed(good, 9, 0)), "an empty body");
  expect_refused(parse_slots(changed(good, 9, 5)), "a body cut short");
  expect_refused(parse_slots(changed(good, 6, 255)), "an absurd length");
  Bytes longer = good;
  longer.push_back(0);
  expect_refused(parse_slots(longer), "something behind");
  for (std::size_t size = 0; size < good.size(); ++size) {
    expect_refused(parse_slots(ByteView(good).first(size)), "cut");
  }
  expect_refused(parse_slots(serialize_slots({slot_of(0)})), "nothing but a frame");
  expect_refused(parse_slots(serialize_slots({slot_of(65537)})), "65537");
}

// Behind the body: host 14-45, generation 46-53, time 54-61, algorithm 62-63, length 64-65,
// signature.
TEST(SlotsTest, EachRuleOfAnAdderBroken) {
  const Bytes good = serialize_slots({added_slot_of(4, 9)});
  ASSERT_EQ(good.size(), 14U + 32 + 8 + 8 + 4 + 64);
  ASSERT_TRUE(parse_slots(good).ok());
  expect_refused(parse_slots(changed(good, 63, 0)), "bytes under algorithm 0");
  expect_refused(parse_slots(changed(good, 65, 63)), "a byte behind the signature");
  expect_refused(parse_slots(changed(good, 65, 65)), "a signature cut short");
  for (std::size_t size = 14; size < good.size(); ++size) {
    expect_refused(parse_slots(ByteView(good).first(size)), "cut");
  }
}

TEST(SlotsTest, WhoeverIsNamedHasSigned) {
  Slot named = added_slot_of(4, 9);
  named.adder->signature = {};
  expect_refused(parse_slots(serialize_slots({named})), "an adder who has not signed");
  Slot nobody = added_slot_of(4, 9);
  nobody.adder->host = {};
  expect_refused(parse_slots(serialize_slots({nobody})), "a signature of nobody");
  nobody.adder->signature = {};
  EXPECT_TRUE(parse_slots(serialize_slots({nobody})).ok()) << "the twin";
}

TEST(SlotsTest, ASlotOfAnUnknownKindIsKeptAsItIs) {
  Slot unknown = slot_of(20);
  for (const int kind : {0, 7, 0xffff}) {
    unknown.body.kind = static_cast<std::uint16_t>(kind);
    const auto parsed = parse_slots(serialize_slots({unknown}));
    ASSERT_TRUE(parsed.ok()) << kind;
    EXPECT_EQ(parsed.value()[0].body.kind, kind);
  }
}

TEST(SlotsTest, DigestsBindKindAndBody) {
  const Slot slot = slot_of(4);
  EXPECT_EQ(slot.digest(), Sha256::of(from_hex("00025a5a5a5a").value()));
  EXPECT_EQ(slot.digest(), added_slot_of(4, 9).digest()) << "who added it is not part of it";
  Slot other = slot;
  other.body.kind = 3;
  EXPECT_NE(slot.digest(), other.digest());
}

TEST(SlotsTest, TheListIsThatOfTheDigestsInTheirOrder) {
  const Slot one = slot_of(4);
  const Slot two = slot_of(5);
  ByteWriter out;
  out.bytes(one.digest()).bytes(two.digest());
  EXPECT_EQ(slot_list_of({one, two}), out.take());
}

// The definition, written out.
TEST(SlotsTest, WhatAnAdderSigns) {
  const Bytes immutable = test::immutable_part().serialize();
  SlotAdder adder{{}, 0x0102030405060708, 0x1112131415161718, {}};
  adder.host.fill(7);
  const Digest digest = slot_of(4).digest();
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/slot")).bytes(Sha256::of(immutable)).bytes(adder.host);
  out.u64(0x0102030405060708).u64(0x1112131415161718).bytes(digest);
  EXPECT_EQ(slot_signature_digest(immutable, adder, digest), Sha256::of(out.view()));
}

TEST(SlotsTest, KindsOfOneHolderMayBeExclusive) {
  for (const std::uint16_t kind : {std::uint16_t{1}, std::uint16_t{3}, std::uint16_t{6}}) {
    EXPECT_TRUE(may_be_exclusive({kind, {}})) << kind;
  }
  for (const int kind : {0, 2, 4, 5, 7, 0x101, 0x103, 0xffff}) {
    EXPECT_FALSE(may_be_exclusive({static_cast<std::uint16_t>(kind), {}})) << kind;
  }
}

}  // namespace
}  // namespace ckptseal
