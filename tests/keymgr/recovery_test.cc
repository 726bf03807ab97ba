// SPDX-License-Identifier: Apache-2.0
//
// Recovery keys in slots and on paper: what was copied wrongly is found, and where.
// docs/format.md, "Recovery key slot".
#include "keymgr/recovery/recovery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace ckptseal {
namespace {

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

// Where the parts start.
constexpr std::size_t salt_at = 8;
constexpr std::size_t wrapped_at = 24;
constexpr std::size_t tag_at = 56;
constexpr std::size_t slot_size = 72;

constexpr std::size_t groups = 8;
constexpr std::size_t digits = 6;

Secret copy(const Secret& secret) { return Secret::copy_of(secret.view()).value(); }

RecoveryKey copy(const RecoveryKey& key) { return {key.id, copy(key.key)}; }

// The keys of these tests open nothing, so strings may hold them.
std::string text_of(const Secret& key) {
  return std::string(as_text(recovery_text(key).value().view()));
}

Result<Secret> parse(std::string_view text) { return parse_recovery_text(as_bytes(text)); }

std::size_t group_at(std::size_t group) { return group * (digits + 1); }

void expect_usage(std::string_view text, std::string_view words) {
  const Result<Secret> out = parse(text);
  ASSERT_FALSE(out.ok()) << text;
  EXPECT_EQ(out.error().code, Code::usage) << out.error().message;
  EXPECT_NE(out.error().message.find(words), std::string::npos)
      << text << ": " << out.error().message;
}

void expect_wrong_group(std::string_view text, std::size_t group) {
  expect_usage(text, "Group " + std::to_string(group) + " of the recovery key is wrong");
}

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() : body(RecoveryRecipient(copy(key)).wrap(data_key, some_checkpoint).value()) {}

  Result<std::optional<Secret>> unwrap(const SlotBody& slot,
                                       const Checkpoint& of = some_checkpoint) {
    return RecoveryIdentity(copy(key.key)).unwrap(slot, of);
  }

  RecoveryKey key = std::move(RecoveryKey::generate()).value();
  Secret data_key = random_secret(data_key_size).value();
  SlotBody body;
};

TEST_F(RecoveryTest, OpensWithTheKey) {
  EXPECT_EQ(body.kind, 4U);
  EXPECT_EQ(body.bytes.size(), slot_size);
  EXPECT_EQ(RecoverySlot::parse(body.bytes).value().id, key.id);
  const auto opened = unwrap(body);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  ASSERT_TRUE(opened.value());
  EXPECT_TRUE(equal_constant_time(opened.value()->view(), data_key.view()));
}

TEST_F(RecoveryTest, OpensWithTheKeyFromPaper) {
  RecoveryIdentity identity(parse(text_of(key.key)).value());
  EXPECT_TRUE(
      equal_constant_time(identity.unwrap(body, some_checkpoint).value()->view(), data_key.view()));
}

TEST_F(RecoveryTest, OpensWithNoOtherAndNamesThePaper) {
  const RecoveryKey other = std::move(RecoveryKey::generate()).value();
  const auto opened = RecoveryIdentity(copy(other.key)).unwrap(body, some_checkpoint);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::policy);
  EXPECT_NE(opened.error().message.find(to_hex(key.id)), std::string::npos);
}

TEST_F(RecoveryTest, OpensInNoOtherCheckpoint) {
  EXPECT_EQ(unwrap(body, Checkpoint{{1, 2, 4}, {}}).error().code, Code::policy);
}

// Made with python3-cryptography, by the words of docs/format.md: recovery key 00 to 0f, recovery
// id a0 to a7, salt b0 to bf.
TEST_F(RecoveryTest, KnownAnswer) {
  const SlotBody slot = {
      4,
      *from_hex("a0a1a2a3a4a5a6a7b0b1b2b3b4b5b6b7b8b9babbbcbdbebf676f0d77fc61632245522a9d7ec484b7"
                "52734e73b2dfc43cf118b6cd6620341d39151f3a5aa7de95566649b0a9b61f49")};
  CheckpointId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(0x40 + i);
  RecoveryIdentity identity(
      parse("000012-005667-011322-016977-022632-028287-033942-039597").value());
  const auto opened = identity.unwrap(slot, {id, {}});
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(to_hex(opened.value()->view()),
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
}

TEST_F(RecoveryTest, EveryFlippedBitIsRefused) {
  for (std::size_t bit = 0; bit < slot_size * 8; ++bit) {
    SlotBody changed = body;
    changed.bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto opened = unwrap(changed);
    ASSERT_FALSE(opened.ok()) << bit;
    EXPECT_EQ(opened.error().code, Code::policy) << bit;
  }
}

// Each field of another slot of the same key and the same data key, in another checkpoint.
TEST_F(RecoveryTest, FieldsOfAnotherSlotAreRefused) {
  const SlotBody other =
      RecoveryRecipient(copy(key)).wrap(data_key, Checkpoint{{1, 2, 4}, {}}).value();
  for (const auto& [from, to] : {std::pair(salt_at, wrapped_at), std::pair(wrapped_at, tag_at),
                                 std::pair(tag_at, slot_size), std::pair(wrapped_at, slot_size)}) {
    SlotBody changed = body;
    for (std::size_t at = from; at < to; ++at) changed.bytes[at] = other.bytes[at];
    ASSERT_FALSE(unwrap(changed).ok()) << from;
    EXPECT_EQ(unwrap(changed).error().code, Code::policy) << from;
  }
}

TEST_F(RecoveryTest, EveryCutAndAnyTailIsRefused) {
  for (std::size_t size = 0; size < slot_size; ++size) {
    const auto cut = RecoverySlot::parse(ByteView(body.bytes).first(size));
    ASSERT_FALSE(cut.ok()) << size;
    EXPECT_EQ(cut.error().code, Code::integrity);
  }
  body.bytes.push_back(0);
  EXPECT_EQ(RecoverySlot::parse(body.bytes).error().code, Code::integrity);
  EXPECT_EQ(unwrap(body).error().code, Code::integrity);
}

TEST_F(RecoveryTest, ParsingAndSerializingGiveTheSameBytes) {
  EXPECT_EQ(RecoverySlot::parse(body.bytes).value().serialize(), body.bytes);
}

TEST_F(RecoveryTest, OtherKindsAreSkipped) {
  for (const int kind : {0, 1, 2, 3, 5, 0x104, 0xffff}) {
    body.kind = static_cast<std::uint16_t>(kind);
    const auto opened = unwrap(body);
    ASSERT_TRUE(opened.ok()) << kind;
    EXPECT_FALSE(opened.value()) << kind;
  }
}

// The nonce is fixed: two wraps under one key would show how their plaintexts differ. A share of a
// threshold and the whole data key are two such in one checkpoint.
TEST_F(RecoveryTest, TwoWrapsInOneCheckpointShareNoKeyStream) {
  RecoveryRecipient recipient(copy(key));
  const Bytes first = recipient.wrap(data_key, some_checkpoint).value().bytes;
  const Bytes second = recipient.wrap(data_key, some_checkpoint).value().bytes;
  for (const auto& [from, to] : {std::pair(salt_at, wrapped_at), std::pair(wrapped_at, tag_at)}) {
    EXPECT_FALSE(same_bytes(ByteView(first).subspan(from, to - from),
                            ByteView(second).subspan(from, to - from)));
  }
  for (const Bytes& bytes : {first, second}) {
    EXPECT_TRUE(equal_constant_time(unwrap({4, bytes}).value()->view(), data_key.view()));
  }
}

TEST_F(RecoveryTest, TheRecipientRefusesWhatItCannotWrap) {
  RecoveryRecipient recipient(copy(key));
  for (const std::size_t size : {1U, 31U, 33U}) {
    EXPECT_FALSE(recipient.wrap(random_secret(size).value(), some_checkpoint).ok()) << size;
  }
  EXPECT_FALSE(
      RecoveryRecipient({key.id, random_secret(15).value()}).wrap(data_key, some_checkpoint).ok());
  EXPECT_FALSE(RecoveryIdentity(random_secret(17).value()).unwrap(body, some_checkpoint).ok());
}

TEST_F(RecoveryTest, KeysAndIdsAreNew) {
  const RecoveryKey other = std::move(RecoveryKey::generate()).value();
  EXPECT_EQ(key.key.size(), recovery_key_size);
  EXPECT_NE(to_hex(other.id), to_hex(key.id));
  EXPECT_FALSE(same_bytes(other.key.view(), key.key.view()));
}

class RecoveryText : public testing::Test {
 protected:
  Secret key = random_secret(recovery_key_size).value();
  std::string text = text_of(key);
};

TEST_F(RecoveryText, IsRead) { EXPECT_TRUE(same_bytes(parse(text).value().view(), key.view())); }

TEST_F(RecoveryText, IsThatOfTheFormat) {
  const auto of = [](ByteView bytes) { return text_of(Secret::copy_of(bytes).value()); };
  EXPECT_EQ(of(Bytes(16, 0)), "000001-000002-000003-000004-000005-000006-000007-000008");
  EXPECT_EQ(of(Bytes(16, 0xff)), "720886-720887-720888-720889-720890-720891-720892-720893");
  Bytes counting(16);
  for (std::size_t i = 0; i < counting.size(); ++i) counting[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(of(counting), "000012-005667-011322-016977-022632-028287-033942-039597");
  EXPECT_FALSE(recovery_text(random_secret(15).value()).ok());
}

TEST_F(RecoveryText, SeparatorsAreTakenAnywhere) {
  std::string bare = text;
  std::erase(bare, '-');
  std::string spread;
  for (const char c : bare) spread += std::string("\t-- ") + c + "\r\n";
  std::string lines = text + "\n";
  std::replace(lines.begin(), lines.end(), '-', '\n');
  for (const std::string& other : {bare, spread, lines, " " + text + " "}) {
    const auto parsed = parse(other);
    ASSERT_TRUE(parsed.ok()) << other << parsed.error().message;
    EXPECT_TRUE(same_bytes(parsed.value().view(), key.view()));
  }
}

TEST_F(RecoveryText, EveryWrongDigitIsFoundInItsGroup) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '-') continue;
    for (char digit = '0'; digit <= '9'; ++digit) {
      if (digit == text[at]) continue;
      std::string wrong = text;
      wrong[at] = digit;
      expect_wrong_group(wrong, at / (digits + 1) + 1);
    }
  }
}

TEST_F(RecoveryText, EveryExchangeOfNeighbouringDigitsIsFoundInItsGroup) {
  for (std::size_t at = 0; at + 1 < text.size(); ++at) {
    if (text[at] == '-') continue;
    const std::size_t next = text[at + 1] == '-' ? at + 2 : at + 1;
    if (text[at] == text[next]) continue;
    std::string wrong = text;
    std::swap(wrong[at], wrong[next]);
    expect_wrong_group(wrong, at / (digits + 1) + 1);
  }
}

TEST_F(RecoveryText, EveryExchangeOfTwoGroupsIsNamed) {
  for (std::size_t a = 0; a < groups; ++a) {
    for (std::size_t b = a + 1; b < groups; ++b) {
      std::string wrong = text;
      std::swap_ranges(wrong.begin() + static_cast<std::ptrdiff_t>(group_at(a)),
                       wrong.begin() + static_cast<std::ptrdiff_t>(group_at(a) + digits),
                       wrong.begin() + static_cast<std::ptrdiff_t>(group_at(b)));
      expect_usage(wrong, "Groups " + std::to_string(a + 1) + " and " + std::to_string(b + 1));
    }
  }
}

TEST_F(RecoveryText, AGroupThatStandsTwiceIsFound) {
  for (std::size_t a = 0; a + 1 < groups; ++a) {
    std::string wrong = text;
    wrong.replace(group_at(a + 1), digits, wrong, group_at(a), digits);
    expect_wrong_group(wrong, a + 2);
  }
}

TEST_F(RecoveryText, EveryMissingGroupIsNamed) {
  for (std::size_t g = 0; g < groups; ++g) {
    std::string wrong = text;
    wrong.erase(g + 1 < groups ? group_at(g) : group_at(g) - 1, digits + 1);
    expect_usage(wrong, "42 digits instead of 48");
    expect_usage(wrong, "group " + std::to_string(g + 1) + " is the first");
  }
}

// In some group from its own on: digits move up, and a group may by chance look sound.
TEST_F(RecoveryText, EveryMissingOrDoubledDigitIsFound) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '-') continue;
    std::string missing = text;
    missing.erase(at, 1);
    expect_usage(missing, "47 digits instead of 48");
    std::string doubled = text;
    doubled.insert(at, 1, text[at]);
    expect_usage(doubled, "49 digits instead of 48");
  }
}

TEST_F(RecoveryText, WhatFollowsTheLastGroupIsTooMuch) {
  expect_usage(text + "1", "behind group 8");
  expect_usage(text + "-" + text, "96 digits");
  expect_usage(text + "x", "Behind group 8");
}

TEST_F(RecoveryText, EveryCutIsFound) {
  for (std::size_t size = 0; size < text.size(); ++size) {
    const std::string cut = text.substr(0, size);
    const auto count = static_cast<std::size_t>(
        std::count_if(cut.begin(), cut.end(), [](char c) { return c != '-'; }));
    expect_usage(cut, "group " + std::to_string(count / digits + 1) + " is the first");
  }
  expect_usage("", "0 digits");
}

TEST_F(RecoveryText, WhatIsNoDigitIsFoundInItsGroup) {
  for (int c = 0; c < 256; ++c) {
    const char other = static_cast<char>(c);
    if (std::string_view(" \t\r\n-0123456789").find(other) != std::string_view::npos) continue;
    for (std::size_t g = 0; g < groups; ++g) {
      for (std::size_t i = 0; i < digits; ++i) {
        std::string wrong = text;
        wrong[group_at(g) + i] = other;
        expect_usage(wrong, "before group " + std::to_string(g + 1) + " ");
      }
    }
  }
}

// 11 * 65536 + i has the right remainder and is no u16.
TEST_F(RecoveryText, NumbersThatAreTooLargeAreRefused) {
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t too_large = 11 * std::size_t{65536} + g + 1;
    std::string wrong = text;
    wrong.replace(group_at(g), digits, std::to_string(too_large));
    expect_wrong_group(wrong, g + 1);
    wrong.replace(group_at(g), digits, std::to_string(too_large - 11));
    EXPECT_TRUE(parse(wrong).ok());
    wrong.replace(group_at(g), digits, std::to_string(999999 - (999999 - (g + 1)) % 11));
    expect_wrong_group(wrong, g + 1);
  }
}

TEST_F(RecoveryText, ErrorsDoNotRepeatTheKey) {
  for (std::size_t g = 0; g < groups; ++g) {
    std::string wrong = text;
    wrong[group_at(g)] = wrong[group_at(g)] == '0' ? '1' : '0';
    const std::string message = parse(wrong).error().message;
    for (std::size_t h = 0; h < groups; ++h) {
      EXPECT_EQ(message.find(wrong.substr(group_at(h), digits)), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace ckptseal
