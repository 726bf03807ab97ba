// SPDX-License-Identifier: Apache-2.0
//
// sealing/header.h: one encoding, and each rule of docs/format.md, "Preamble" to "Slots", broken.
#include "sealing/header.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <stdexcept>

namespace ckptseal {
namespace {

Bytes changed(Bytes bytes, std::size_t at, std::uint8_t value) {
  bytes.at(at) = value;
  return bytes;
}

template <typename T>
void expect_refused(const Result<T>& result, const std::string& what) {
  ASSERT_FALSE(result.ok()) << what;
  EXPECT_EQ(result.error().code, Code::integrity) << what;
}

ImmutablePart immutable_part() {
  ImmutablePart part;
  part.suite = Suite::chacha20_poly1305;
  part.content = Content::criu;
  part.chunk_log2 = 20;
  part.id.fill(0x11);
  part.commitment.fill(0x22);
  part.origin.fill(0x33);
  part.parent.fill(0x44);
  part.created = 0x0102030405060708;
  return part;
}

Slot slot_of(std::size_t body_size, bool added = false) {
  Slot slot{{2, Bytes(body_size, 0x5a)}, std::nullopt};
  if (added) {
    slot.adder = SlotAdder{};
    slot.adder->host.fill(7);
    slot.adder->generation = 9;
    slot.adder->signature.fill(8);
  }
  return slot;
}

Secret header_key() { return std::move(Secret::copy_of(Bytes(32, 9))).value(); }

Bytes header_block(const std::vector<Slot>& slots = {slot_of(64), slot_of(100, true)}) {
  return HeaderBlock::build(3, immutable_part().serialize(), slots, 65536, header_key());
}

// With the checksum made right again, so that the rule behind it is what refuses.
Bytes with_checksum(Bytes block) {
  const Digest sum = Sha256::of(ByteView(block).first(block.size() - 32));
  std::copy(sum.begin(), sum.end(), block.end() - 32);
  return block;
}

TEST(PreambleTest, HasOneEncoding) {
  for (unsigned log2 = 16; log2 <= 22; ++log2) {
    const Bytes block = build_preamble(log2);
    ASSERT_EQ(block.size(), 4096U);
    const Result<unsigned> parsed = parse_preamble(block);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value(), log2);
  }
}

TEST(PreambleTest, EveryOtherByteIsRefused) {
  const Bytes block = build_preamble(16);
  for (std::size_t at = 0; at < block.size(); ++at) {
    if (at == 10) continue;
    expect_refused(parse_preamble(changed(block, at, block[at] ^ 1)), std::to_string(at));
  }
  for (const unsigned log2 : {0U, 15U, 23U, 255U}) {
    expect_refused(parse_preamble(changed(block, 10, static_cast<std::uint8_t>(log2))), "log2");
  }
  expect_refused(parse_preamble({}), "empty");
  expect_refused(parse_preamble(ByteView(block).first(10)), "short");
  expect_refused(parse_preamble(ByteView(block).first(block_size - 1)), "a byte short");
}

TEST(ImmutablePartTest, ParseThenSerializeIsIdentity) {
  const Bytes bytes = immutable_part().serialize();
  ASSERT_EQ(bytes.size(), 130U);
  EXPECT_EQ(to_hex(ByteView(bytes).first(8)), "0001020110140000");
  const Result<ImmutablePart> parsed = ImmutablePart::parse(bytes);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().serialize(), bytes);
  EXPECT_EQ(parsed.value().created, 0x0102030405060708U);
  EXPECT_EQ(parsed.value().chunk_size(), 1048576U);
  EXPECT_TRUE(parsed.value().is_signed());
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
                                                                       {4, 15, "H"},
                                                                       {4, 23, "H"},
                                                                       {5, 15, "C"},
                                                                       {5, 23, "C"},
                                                                       {6, 1, "zero"},
                                                                       {7, 1, "zero"},
                                                                       {128, 1, "conditions"},
                                                                       {129, 1, "conditions"}}) {
    expect_refused(ImmutablePart::parse(changed(good, at, value)), rule);
  }
  Bytes longer = good;
  longer.push_back(0);
  expect_refused(ImmutablePart::parse(longer), "too long");
  for (std::size_t size = 0; size < good.size(); ++size) {
    expect_refused(ImmutablePart::parse(ByteView(good).first(size)), "too short");
  }
}

TEST(ImmutablePartTest, HasTheLimitsAsConditions) {
  const std::string after = "010102030405060709";
  const std::string times = "0200000003";
  for (const auto& [limits, conditions] : std::vector<std::pair<UseLimits, std::string>>{
           {{}, "0000"},
           {{3, 0}, "0001" + times},
           {{0, 0x0102030405060709}, "0001" + after},
           {{3, 0x0102030405060709}, "0002" + after + times}}) {
    ImmutablePart part = immutable_part();
    part.limits = limits;
    const Bytes bytes = part.serialize();
    EXPECT_EQ(to_hex(ByteView(bytes).subspan(128)), conditions);
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
    Bytes bytes(whole.begin(), whole.begin() + 128);
    const Bytes more = from_hex(conditions).value();
    bytes.insert(bytes.end(), more.begin(), more.end());
    expect_refused(ImmutablePart::parse(bytes), rule);
  }
}

TEST(SlotsTest, ParseThenSerializeIsIdentity) {
  const std::vector<Slot> slots = {slot_of(1), slot_of(65536), slot_of(70, true)};
  const Bytes bytes = serialize_slots(slots);
  const Result<std::vector<Slot>> parsed = parse_slots(bytes, Suite::aes_256_gcm);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().size(), 3U);
  EXPECT_FALSE(parsed.value()[1].adder);
  EXPECT_EQ(parsed.value()[2].adder->generation, 9U);
  EXPECT_EQ(serialize_slots(parsed.value()), bytes);
}

TEST(SlotsTest, EachRuleBroken) {
  const Bytes good = serialize_slots({slot_of(4)});  // count 0-1, kind 2-3, adder 4-5, length 6-9
  ASSERT_TRUE(parse_slots(good, Suite::aes_256_gcm).ok());
  expect_refused(parse_slots(changed(good, 1, 0), Suite::aes_256_gcm), "no slots");
  expect_refused(parse_slots(changed(good, 1, 2), Suite::aes_256_gcm), "one too few");
  expect_refused(parse_slots(changed(good, 0, 255), Suite::aes_256_gcm), "many too few");
  expect_refused(parse_slots(changed(good, 5, 2), Suite::aes_256_gcm), "unknown adder");
  expect_refused(parse_slots(changed(good, 4, 1), Suite::aes_256_gcm), "unknown adder");
  expect_refused(parse_slots(changed(good, 5, 1), Suite::aes_256_gcm), "no room for an adder");
  expect_refused(parse_slots(changed(good, 9, 0), Suite::aes_256_gcm), "an empty body");
  expect_refused(parse_slots(changed(good, 9, 5), Suite::aes_256_gcm), "a body cut short");
  expect_refused(parse_slots(changed(good, 6, 255), Suite::aes_256_gcm), "an absurd length");
  Bytes longer = good;
  longer.push_back(0);
  expect_refused(parse_slots(longer, Suite::aes_256_gcm), "something behind");
  for (std::size_t size = 0; size < good.size(); ++size) {
    expect_refused(parse_slots(ByteView(good).first(size), Suite::aes_256_gcm), "cut");
  }
  expect_refused(parse_slots(serialize_slots({slot_of(65537)}), Suite::aes_256_gcm), "65537");
}

TEST(SlotsTest, ASlotOfAnUnknownKindIsKeptAsItIs) {
  Slot unknown = slot_of(20);
  unknown.body.kind = 0xffff;
  const Bytes bytes = serialize_slots({unknown});
  const auto parsed = parse_slots(bytes, Suite::aes_256_gcm);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value()[0].body.kind, 0xffff);
}

TEST(SlotsTest, AnExclusiveFileHasOneSlotOfItsOrigin) {
  for (const Suite suite : {Suite::aes_256_gcm_exclusive, Suite::chacha20_poly1305_exclusive}) {
    EXPECT_TRUE(parse_slots(serialize_slots({slot_of(4)}), suite).ok());
    expect_refused(parse_slots(serialize_slots({slot_of(4), slot_of(5)}), suite), "two");
    expect_refused(parse_slots(serialize_slots({slot_of(4, true)}), suite), "added");
  }
}

TEST(SlotsTest, DigestsBindKindAndBody) {
  const Slot slot = slot_of(4);
  EXPECT_EQ(slot.digest(), Sha256::of(from_hex("00025a5a5a5a").value()));
  EXPECT_EQ(slot.digest(), slot_of(4, true).digest()) << "who added it is not part of it";
  Slot other = slot;
  other.body.kind = 3;
  EXPECT_NE(slot.digest(), other.digest());
  const CheckpointId id{};
  EXPECT_NE(slot_signature_digest(id, 1, slot.digest()),
            slot_signature_digest(id, 2, slot.digest()));
}

TEST(HeaderBlockTest, IsReadAsItWasBuilt) {
  const Bytes block = header_block();
  ASSERT_EQ(block.size(), 65536U);
  const Result<HeaderBlock> parsed = HeaderBlock::parse(block);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const HeaderBlock& header = parsed.value();
  EXPECT_EQ(header.generation, 3U);
  EXPECT_EQ(header.immutable_bytes, immutable_part().serialize());
  ASSERT_EQ(header.slots.size(), 2U);
  EXPECT_TRUE(header.mac_fits(header_key()));
  EXPECT_FALSE(header.mac_fits(std::move(Secret::copy_of(Bytes(32, 10))).value()));
  EXPECT_EQ(HeaderBlock::build(header.generation, header.immutable_bytes, header.slots, 65536,
                               header_key()),
            block);
}

TEST(HeaderBlockTest, TheChecksumSeesEveryByte) {
  const Bytes block = header_block();
  for (std::size_t at = 0; at < block.size(); at += at < 700 || at > 65500 ? 1 : 997) {
    expect_refused(HeaderBlock::parse(changed(block, at, block[at] ^ 0x40)), std::to_string(at));
  }
}

TEST(HeaderBlockTest, EachRuleBrokenUnderARightChecksum) {
  const Bytes good = header_block({slot_of(64)});
  const auto refused = [&](std::size_t at, std::uint8_t value, const char* rule) {
    expect_refused(HeaderBlock::parse(with_checksum(changed(good, at, value))), rule);
  };
  ASSERT_TRUE(HeaderBlock::parse(with_checksum(good)).ok());
  refused(0, 'X', "magic");
  refused(15, 0, "generation 0");
  refused(16, 0xff, "I absurd");
  refused(19, 131, "I one more");
  refused(19, 129, "I one less");
  refused(20, 0xff, "S absurd");
  refused(23, good[23] + 1, "S one more");
  refused(23, good[23] - 1, "S one less");
  refused(24 + 4, 17, "H other than the block's");
  const std::size_t mac_end = 24 + 130 + 74 + 32;
  refused(mac_end, 1, "first byte of the zeros");
  refused(65536 - 33, 1, "last byte of the zeros");
  Bytes overflow = good;  // both lengths together wrap around in 32 bits
  std::fill_n(overflow.begin() + 16, 8, std::uint8_t{0xff});
  expect_refused(HeaderBlock::parse(with_checksum(overflow)), "both lengths");
}

TEST(HeaderBlockTest, ShortBlocksAreRefused) {
  const Bytes block = header_block();
  for (std::size_t size = 0; size < 300; ++size) {
    expect_refused(HeaderBlock::parse(ByteView(block).first(size)), std::to_string(size));
  }
}

TEST(HeaderSizeTest, LeavesRoomForAsManySlotsAgain) {
  const auto log2 = [](std::size_t count, std::size_t size) {
    return header_log2_for(ImmutablePart{}, std::vector<Slot>(count, slot_of(size)));
  };
  EXPECT_EQ(log2(1, 100).value(), 16U);
  // 24 + I + S + 64 = 32768 exactly, and one more.
  const std::size_t body = 32768 - 24 - 130 - 64 - 2 - 8;
  EXPECT_EQ(log2(1, body).value(), 16U);
  EXPECT_EQ(log2(1, body + 1).value(), 17U);
  EXPECT_EQ(log2(32, 65000).value(), 22U);
  const auto too_many = log2(33, 65000);
  ASSERT_FALSE(too_many.ok());
  EXPECT_EQ(too_many.error().code, Code::usage);
  EXPECT_FALSE(log2(65536, 1).ok());
  EXPECT_TRUE(log2(65535, 1).ok());
}

}  // namespace
}  // namespace ckptseal
