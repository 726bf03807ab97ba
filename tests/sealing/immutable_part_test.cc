// SPDX-License-Identifier: Apache-2.0
//
// sealing/immutable_part.h: one encoding, and each rule of docs/format.md, "Immutable part",
// broken.
#include "sealing/immutable_part.h"

#include <gtest/gtest.h>

#include "header_parts.h"

namespace ckptseal {
namespace {

using test::changed;
using test::expect_refused;
using test::immutable_part;

constexpr std::size_t depth_at = 6;
constexpr std::size_t conditions_at = 160;

TEST(ImmutablePartTest, ParseThenSerializeIsIdentity) {
  const Bytes bytes = immutable_part().serialize();
  ASSERT_EQ(bytes.size(), 162U);
  EXPECT_EQ(to_hex(ByteView(bytes).first(8)), "000102010c140100");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(152)), "01020304050607080000");
  const Result<ImmutablePart> parsed = ImmutablePart::parse(bytes);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().serialize(), bytes);
  EXPECT_EQ(parsed.value().created, 0x0102030405060708U);
  EXPECT_EQ(parsed.value().chunk_size(), 1048576U);
  EXPECT_EQ(parsed.value().header_size(), 4096U);
  EXPECT_EQ(parsed.value().data_start(), 12288U);
  EXPECT_EQ(parsed.value().depth, 1U);
  EXPECT_TRUE(parsed.value().is_signed());
  EXPECT_TRUE(parsed.value().has_parent());
}

// Each where the page has it.
TEST(ImmutablePartTest, HasTheLayoutOfTheFormat) {
  const Bytes bytes = immutable_part().serialize();
  const auto holds = [&](std::size_t at, std::size_t size, std::uint8_t value) {
    return same_bytes(ByteView(bytes).subspan(at, size), Bytes(size, value));
  };
  EXPECT_TRUE(holds(8, 16, 0x11)) << "checkpoint id";
  EXPECT_TRUE(holds(24, 32, 0x22)) << "commitment";
  EXPECT_TRUE(holds(56, 32, 0x33)) << "origin";
  EXPECT_TRUE(holds(88, 32, 0x44)) << "parent";
  EXPECT_TRUE(holds(120, 32, 0x55)) << "slot list";
}

TEST(ImmutablePartTest, EachRuleBroken) {
  const Bytes good = immutable_part().serialize();
  for (const auto& [at, value, rule] :
       std::vector<std::tuple<std::size_t, std::uint8_t, const char*>>{{0, 1, "version"},
                                                                       {1, 0, "version"},
                                                                       {1, 2, "version"},
                                                                       {2, 0, "suite"},
                                                                       {2, 5, "suite"},
                                                                       {2, 255, "suite"},
                                                                       {3, 0, "content"},
                                                                       {3, 4, "content"},
                                                                       {4, 11, "H"},
                                                                       {4, 23, "H"},
                                                                       {5, 15, "C"},
                                                                       {5, 23, "C"},
                                                                       {7, 1, "zero"},
                                                                       {160, 1, "conditions"},
                                                                       {161, 1, "conditions"}}) {
    expect_refused(ImmutablePart::parse(changed(good, at, value)), rule);
  }
  Bytes longer = good;
  longer.push_back(0);
  expect_refused(ImmutablePart::parse(longer), "too long");
  for (std::size_t size = 0; size < good.size(); ++size) {
    expect_refused(ImmutablePart::parse(ByteView(good).first(size)), "too short");
  }
}

TEST(ImmutablePartTest, TheLimitsThemselvesAreAllowed) {
  const Bytes good = immutable_part().serialize();
  for (const auto& [at, value] : std::vector<std::pair<std::size_t, std::uint8_t>>{
           {2, 1}, {3, 1}, {4, 12}, {4, 22}, {5, 16}, {5, 22}, {6, 63}}) {
    EXPECT_TRUE(ImmutablePart::parse(changed(good, at, value)).ok()) << at;
  }
  ImmutablePart alone = immutable_part();
  alone.parent = {};
  alone.depth = 0;
  for (const auto& [at, value] :
       std::vector<std::pair<std::size_t, std::uint8_t>>{{2, 4}, {3, 2}, {3, 3}}) {
    EXPECT_TRUE(ImmutablePart::parse(changed(alone.serialize(), at, value)).ok()) << at;
  }
}

TEST(ImmutablePartTest, DepthAndParentGoTogether) {
  const Bytes good = immutable_part().serialize();
  expect_refused(ImmutablePart::parse(changed(good, depth_at, 0)), "a parent at depth 0");
  expect_refused(ImmutablePart::parse(changed(good, depth_at, 64)), "too deep");
  expect_refused(ImmutablePart::parse(changed(good, depth_at, 255)), "too deep");
  ImmutablePart part = immutable_part();
  part.parent = {};
  expect_refused(ImmutablePart::parse(part.serialize()), "depth without a parent");
  part.depth = 0;
  EXPECT_TRUE(ImmutablePart::parse(part.serialize()).ok()) << "the twin";
}

// Unsigned, exclusive, or of another content than CRIU's.
TEST(ImmutablePartTest, WhatHasNoParent) {
  ImmutablePart unsigned_one = immutable_part();
  unsigned_one.origin = {};
  ImmutablePart stream = immutable_part();
  stream.content = Content::stream;
  ImmutablePart tree = immutable_part();
  tree.content = Content::tree;
  ImmutablePart exclusive = immutable_part();
  exclusive.suite = Suite::aes_256_gcm_exclusive;
  ImmutablePart exclusive_too = immutable_part();
  exclusive_too.suite = Suite::chacha20_poly1305_exclusive;
  for (ImmutablePart part : {unsigned_one, stream, tree, exclusive, exclusive_too}) {
    expect_refused(ImmutablePart::parse(part.serialize()), "with a parent");
    part.parent = {};
    part.depth = 0;
    EXPECT_TRUE(ImmutablePart::parse(part.serialize()).ok()) << "the twin";
  }
}

TEST(ImmutablePartTest, SaysToItsSlotsWhatItIs) {
  ImmutablePart part = immutable_part();
  EXPECT_FALSE(part.checkpoint().exclusive);
  EXPECT_EQ(part.checkpoint().id, part.id);
  part.suite = Suite::chacha20_poly1305_exclusive;
  EXPECT_TRUE(part.checkpoint().exclusive);
}

TEST(ImmutablePartTest, HasTheLimitsAsConditions) {
  for (const auto& [limits, conditions] : std::vector<std::pair<UseLimits, std::string>>{
           {{}, "0000"},
           {{3, 0}, "00010200000003"},
           {{0, 0x0102030405060709}, "0001010102030405060709"},
           {{3, 0x0102030405060709}, "00020101020304050607090200000003"}}) {
    ImmutablePart part = immutable_part();
    part.limits = limits;
    const Bytes bytes = part.serialize();
    EXPECT_EQ(to_hex(ByteView(bytes).subspan(conditions_at)), conditions);
    const Result<ImmutablePart> parsed = ImmutablePart::parse(bytes);
    ASSERT_TRUE(parsed.ok()) << conditions;
    EXPECT_EQ(parsed.value().limits, limits);
    EXPECT_EQ(parsed.value().checkpoint().limits, limits);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      expect_refused(ImmutablePart::parse(ByteView(bytes).first(size)), "too short");
    }
  }
}

TEST(ImmutablePartTest, EachRuleOfConditionsBroken) {
  const Bytes whole = immutable_part().serialize();
  for (const auto& [conditions, rule] : std::vector<std::pair<const char*, const char*>>{
           {"0001", "none there"},
           {"00010200000000", "no restore"},
           {"0001010102030405060708", "ends as it begins"},
           {"0001010000000000000000", "ended before"},
           {"00010000000003", "kind 0"},
           {"00010300000003", "a newer kind"},
           {"000202000000030200000003", "twice"},
           {"00020200000003010102030405060709", "disorder"},
           {"0003010102030405060709020000000303", "three"},
           {"0001020000000300", "more"},
           {"00000200000003", "not counted"}}) {
    Bytes bytes(whole.begin(), whole.begin() + conditions_at);
    const Bytes more = from_hex(conditions).value();
    bytes.insert(bytes.end(), more.begin(), more.end());
    expect_refused(ImmutablePart::parse(bytes), rule);
  }
}

}  // namespace
}  // namespace ckptseal
