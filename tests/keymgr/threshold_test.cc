// SPDX-License-Identifier: Apache-2.0
//
// Any k of n recipients open and fewer do not, and what becomes of slots that are not as written.
// docs/format.md, "Threshold slot".
#include "keymgr/threshold/threshold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/crypto.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/recovery/recovery.h"

namespace ckptseal {
namespace {

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};
constexpr Argon2Cost cheap{64, 1, 4};
constexpr std::size_t recovery_body = 72;
constexpr std::size_t share_size = 6 + recovery_body;
constexpr std::string_view counting_key =
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";

Secret copy(const Secret& secret) { return Secret::copy_of(secret.view()).value(); }

bool same(const Secret& a, const Secret& b) { return equal_constant_time(a.view(), b.view()); }

// Three papers of which two are needed, but for tests that want others.
class ThresholdTest : public testing::Test {
 protected:
  ThresholdTest() : body(seal(2, 3).value()) {}

  Result<SlotBody> seal(std::size_t k, std::size_t n) {
    return ThresholdRecipient(k, recipients(n)).wrap(data_key, some_checkpoint);
  }

  std::vector<std::unique_ptr<Recipient>> recipients(std::size_t n) {
    std::vector<std::unique_ptr<Recipient>> out;
    for (std::size_t i = 0; i < n; ++i) {
      if (papers.size() == i) papers.push_back(RecoveryKey::generate().value());
      out.push_back(
          std::make_unique<RecoveryRecipient>(RecoveryKey{papers[i].id, copy(papers[i].key)}));
    }
    return out;
  }

  // By the papers of which the bit stands in `set`.
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, unsigned set,
                                       const Checkpoint& of = some_checkpoint) {
    std::vector<std::unique_ptr<Identity>> owners;
    std::vector<Identity*> identities;
    for (std::size_t i = 0; i < papers.size(); ++i) {
      if ((set >> i & 1U) == 0) continue;
      owners.push_back(std::make_unique<RecoveryIdentity>(copy(papers[i].key)));
      identities.push_back(owners.back().get());
    }
    return ThresholdIdentity(identities).unwrap(slot, of);
  }

  // The key comparison is what the commitment of a file does.
  void expect_another_key(const SlotBody& slot, unsigned set) {
    const auto key = unwrap(slot, set);
    ASSERT_TRUE(key.ok()) << key.error().message;
    ASSERT_TRUE(key.value());
    EXPECT_FALSE(same(*key.value(), data_key));
  }

  void expect_damaged(const Bytes& bytes, const std::string& what) {
    const auto parsed = ThresholdSlot::parse(bytes);
    ASSERT_FALSE(parsed.ok()) << what;
    EXPECT_EQ(parsed.error().code, Code::integrity) << what;
    const auto key = unwrap({5, bytes}, 7);
    ASSERT_FALSE(key.ok()) << what;
    EXPECT_EQ(key.error().code, Code::integrity) << what;
  }

  Bytes with_byte(std::size_t at, unsigned value) const {
    Bytes out = body.bytes;
    out[at] = static_cast<std::uint8_t>(value);
    return out;
  }

  std::vector<RecoveryKey> papers;
  Secret data_key = random_secret(data_key_size).value();
  SlotBody body;
};

TEST_F(ThresholdTest, AnyTwoOfThreeOpen) {
  EXPECT_EQ(body.kind, 5U);
  EXPECT_EQ(body.bytes.size(), 2 + 3 * share_size);
  for (const unsigned set : {3U, 5U, 6U, 7U}) {
    const auto key = unwrap(body, set);
    ASSERT_TRUE(key.ok()) << key.error().message;
    ASSERT_TRUE(key.value());
    EXPECT_TRUE(same(*key.value(), data_key)) << set;
  }
}

TEST_F(ThresholdTest, OneOfThreeIsToldWhatIsMissing) {
  for (const unsigned set : {1U, 2U, 4U}) {
    const auto key = unwrap(body, set);
    ASSERT_FALSE(key.ok()) << set;
    EXPECT_EQ(key.error().code, Code::no_slot);
    for (const char* words : {"2 of 3", "only 1 opened", "--identity"}) {
      EXPECT_NE(key.error().message.find(words), std::string::npos) << key.error().message;
    }
  }
}

TEST_F(ThresholdTest, LargestAndAllOfAll) {
  for (const auto& [k, n] : {std::pair(16U, 16U), std::pair(2U, 16U), std::pair(2U, 2U)}) {
    const SlotBody slot = seal(k, n).value();
    EXPECT_TRUE(same(*unwrap(slot, (1U << k) - 1).value(), data_key)) << k << " of " << n;
    EXPECT_TRUE(same(*unwrap(slot, ((1U << k) - 1) << (n - k)).value(), data_key));
    const auto too_few = unwrap(slot, (1U << (k - 1)) - 1);
    ASSERT_FALSE(too_few.ok()) << k << " of " << n;
    EXPECT_EQ(too_few.error().code, Code::no_slot);
  }
}

TEST_F(ThresholdTest, OpensInNoOtherCheckpoint) {
  EXPECT_EQ(unwrap(body, 7, Checkpoint{{1, 2, 4}, {}}).error().code, Code::policy);
}

TEST_F(ThresholdTest, ForeignPapersSayThatTheyAreWrong) {
  const RecoveryKey foreign = RecoveryKey::generate().value();
  RecoveryIdentity identity(copy(foreign.key));
  const auto key = ThresholdIdentity({&identity}).unwrap(body, some_checkpoint);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::policy);
}

TEST_F(ThresholdTest, IsSkippedWhenNoShareIsForAnIdentity) {
  PassphraseIdentity passphrase(Secret::copy_of(as_bytes("correct horse")).value(), 1024);
  for (const std::vector<Identity*>& identities :
       {std::vector<Identity*>(), std::vector<Identity*>{&passphrase}}) {
    const auto key = ThresholdIdentity(identities).unwrap(body, some_checkpoint);
    ASSERT_TRUE(key.ok()) << key.error().message;
    EXPECT_FALSE(key.value());
  }
}

TEST_F(ThresholdTest, OtherKindsAreSkipped) {
  for (const int kind : {0, 1, 2, 3, 4, 6, 0x105, 0xffff}) {
    body.kind = static_cast<std::uint16_t>(kind);
    const auto key = unwrap(body, 7);
    ASSERT_TRUE(key.ok()) << kind;
    EXPECT_FALSE(key.value()) << kind;
  }
}

// What a share is and whom it is for changes nothing at a threshold.
class MixedThreshold : public testing::Test {
 protected:
  MixedThreshold() {
    std::vector<std::unique_ptr<Recipient>> recipients;
    recipients.push_back(std::make_unique<PassphraseRecipient>(text("one"), cheap));
    recipients.push_back(std::make_unique<PassphraseRecipient>(text("two"), cheap));
    recipients.push_back(
        std::make_unique<RecoveryRecipient>(RecoveryKey{paper.id, copy(paper.key)}));
    body = ThresholdRecipient(2, std::move(recipients)).wrap(data_key, some_checkpoint).value();
  }

  static Secret text(std::string_view words) { return Secret::copy_of(as_bytes(words)).value(); }

  Result<std::optional<Secret>> unwrap(std::vector<Identity*> identities) {
    return ThresholdIdentity(std::move(identities)).unwrap(body, some_checkpoint);
  }

  RecoveryKey paper = RecoveryKey::generate().value();
  Secret data_key = random_secret(data_key_size).value();
  SlotBody body;
  PassphraseIdentity one{text("one"), 1024};
  PassphraseIdentity two{text("two"), 1024};
  PassphraseIdentity wrong{text("three"), 1024};
  RecoveryIdentity on_paper{copy(paper.key)};
};

TEST_F(MixedThreshold, AnyTwoOpenInAnyOrder) {
  for (const std::vector<Identity*>& two_of_them :
       {std::vector<Identity*>{&one, &two}, {&two, &one}, {&two, &on_paper}, {&on_paper, &one}}) {
    const auto key = unwrap(two_of_them);
    ASSERT_TRUE(key.ok()) << key.error().message;
    EXPECT_TRUE(same(*key.value(), data_key));
  }
}

TEST_F(MixedThreshold, AnIdentityThatFailsDoesNotStopTheOthers) {
  const auto key = unwrap({&wrong, &two, &on_paper});
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_TRUE(same(*key.value(), data_key));
}

TEST_F(MixedThreshold, TheErrorOfOneThatOpensNothingIsTold) {
  const auto key = unwrap({&on_paper, &wrong});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::policy);
  EXPECT_NE(key.error().message.find("passphrase"), std::string::npos);
}

// It was tried on the share of the first passphrase, too, and is not wrong for that.
TEST_F(MixedThreshold, AnIdentityThatOpensIsNotCalledWrong) {
  const auto key = unwrap({&two});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::no_slot) << key.error().message;
  EXPECT_NE(key.error().message.find("2 of 3"), std::string::npos);
}

// A share whose cost is above the limit says so, though another share opened.
TEST_F(MixedThreshold, WhatIsNotAMatterOfTheRightIdentityIsTold) {
  ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
  PassphraseSlot expensive = PassphraseSlot::parse(slot.shares[0].bytes).value();
  expensive.cost.memory_kib = 2048;
  slot.shares[0].bytes = expensive.serialize();
  body.bytes = slot.serialize();
  const auto key = unwrap({&two});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::failed) << key.error().message;
  EXPECT_TRUE(unwrap({&two, &on_paper}).ok());
}

// One identity may have several shares.
TEST_F(ThresholdTest, OnePassphraseForTwoShares) {
  const auto passphrase = [] {
    return std::make_unique<PassphraseRecipient>(Secret::copy_of(as_bytes("correct horse")).value(),
                                                 cheap);
  };
  std::vector<std::unique_ptr<Recipient>> both;
  both.push_back(passphrase());
  both.push_back(passphrase());
  const SlotBody slot =
      ThresholdRecipient(2, std::move(both)).wrap(data_key, some_checkpoint).value();
  PassphraseIdentity identity(Secret::copy_of(as_bytes("correct horse")).value(), 1024);
  const auto key = ThresholdIdentity({&identity}).unwrap(slot, some_checkpoint);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_TRUE(same(*key.value(), data_key));
}

// Made in Python like the shares of shares_test.cc, each wrapped with python3-cryptography for a
// recovery key of 16 times 11, 21 and 31, with salts of 16 times 51, 52 and 53.
TEST_F(ThresholdTest, KnownAnswer) {
  const SlotBody slot = {
      5,
      *from_hex("0203"
                "00040000004801010101010101015151515151515151515151515151515113199ca6220804ad17"
                "9bab238e6e516816a154a0336e25911785b12a91453abf66890484f29656809a9f63494597414c"
                "0004000000480202020202020202525252525252525252525252525252523bf60cc5c1e6d240b1"
                "b8e90eddd8c3cc0a2e17d4a15f32208e9323c1d051b7aa62d99f5e6b189eb6ce0b6867236d4e55"
                "0004000000480303030303030303535353535353535353535353535353534a31030c12c6fe17e4"
                "83b135016eb6f0de17dae967e9bdde82c5c279e2e8a4876f0d6c4d232043b723915febf1bfba93")};
  CheckpointId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(0x40 + i);
  papers.clear();
  for (const unsigned byte : {0x11U, 0x21U, 0x31U}) {
    const Bytes key(recovery_key_size, static_cast<std::uint8_t>(byte));
    papers.push_back({RecoveryId{}, Secret::copy_of(key).value()});
  }
  for (const unsigned set : {3U, 5U, 6U}) {
    const auto key = unwrap(slot, set, {id, {}});
    ASSERT_TRUE(key.ok()) << key.error().message;
    EXPECT_EQ(to_hex(key.value()->view()), counting_key);
  }
}

TEST_F(ThresholdTest, ASharesFlippedByteIsRefusedOrReplacedByAnother) {
  for (std::size_t at = 2 + 6; at < 2 + share_size; ++at) {
    const SlotBody changed{5, with_byte(at, body.bytes[at] ^ 1U)};
    const auto key = unwrap(changed, 3);  // the second opens
    ASSERT_FALSE(key.ok()) << at;
    EXPECT_EQ(key.error().code, Code::policy) << at;
    EXPECT_TRUE(same(*unwrap(changed, 7).value(), data_key)) << at;
  }
}

TEST_F(ThresholdTest, AnotherNumberNeededGivesAnotherKey) {
  const SlotBody of_three = seal(3, 3).value();
  SlotBody changed = of_three;
  changed.bytes[0] = 2;
  expect_another_key(changed, 3);
  EXPECT_EQ(unwrap(of_three, 3).error().code, Code::no_slot);
}

TEST_F(ThresholdTest, SharesExchangedInASlotGiveAnotherKey) {
  ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
  std::swap(slot.shares[0], slot.shares[1]);
  const SlotBody changed{5, slot.serialize()};
  for (const unsigned set : {3U, 5U, 6U}) expect_another_key(changed, set);
}

TEST_F(ThresholdTest, AShareOfAnotherSlotGivesAnotherKey) {
  const SlotBody other = seal(2, 3).value();
  ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
  slot.shares[0] = ThresholdSlot::parse(other.bytes).value().shares[0];
  const SlotBody changed{5, slot.serialize()};
  expect_another_key(changed, 3);
  EXPECT_TRUE(same(*unwrap(changed, 6).value(), data_key));
}

TEST_F(ThresholdTest, ParsingAndSerializingGiveTheSameBytes) {
  EXPECT_EQ(ThresholdSlot::parse(body.bytes).value().serialize(), body.bytes);
}

TEST_F(ThresholdTest, EveryCutAndAnyTailIsRefused) {
  for (std::size_t size = 0; size < body.bytes.size(); ++size) {
    Bytes cut = body.bytes;
    cut.resize(size);
    expect_damaged(cut, "cut at " + std::to_string(size));
  }
  Bytes longer = body.bytes;
  longer.push_back(0);
  expect_damaged(longer, "tail");
}

TEST_F(ThresholdTest, CountsAreBounded) {
  for (const unsigned needed : {0U, 1U, 4U, 16U, 17U, 255U}) {
    expect_damaged(with_byte(0, needed), "k " + std::to_string(needed));
  }
  for (const unsigned count : {0U, 1U, 2U, 4U, 16U, 17U, 255U}) {
    expect_damaged(with_byte(1, count), "n " + std::to_string(count));
  }
  // All there that 17 shares need.
  ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
  while (slot.shares.size() < 16) slot.shares.push_back(slot.shares[0]);
  EXPECT_TRUE(ThresholdSlot::parse(slot.serialize()).ok());
  slot.shares.push_back(slot.shares[0]);
  expect_damaged(slot.serialize(), "17 shares");
}

TEST_F(ThresholdTest, AShareIsOfAnyKindButThis) {
  ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
  for (const int kind : {0, 1, 2, 3, 4, 6, 7, 0x104, 0x105, 0xffff}) {
    slot.shares[1].kind = static_cast<std::uint16_t>(kind);
    EXPECT_TRUE(ThresholdSlot::parse(slot.serialize()).ok()) << kind;
  }
  slot.shares[1].kind = 5;
  expect_damaged(slot.serialize(), "a threshold");
}

TEST_F(ThresholdTest, LengthsAreBounded) {
  ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
  slot.shares[0].bytes.clear();
  expect_damaged(slot.serialize(), "empty share");
  slot.shares[0].bytes.resize(16384);
  EXPECT_TRUE(ThresholdSlot::parse(slot.serialize()).ok());
  slot.shares[0].bytes.resize(16385);
  expect_damaged(slot.serialize(), "long share");
  slot.shares[0].bytes.resize(16384);
  while (slot.shares.size() < 4) slot.shares.push_back(slot.shares[0]);
  slot.shares[1] = slot.shares[2] = slot.shares[0];
  expect_damaged(slot.serialize(), "more than 64 KiB");
  expect_damaged(with_byte(4, 0xff), "absurd length");
  expect_damaged(with_byte(7, recovery_body + 1), "length of the first share");
  expect_damaged(with_byte(7, recovery_body - 1), "length of the first share");
}

TEST_F(ThresholdTest, TheRecipientRefusesWhatItCannotMake) {
  for (const auto& [k, n] : {std::pair(0U, 2U), std::pair(1U, 2U), std::pair(3U, 2U),
                             std::pair(1U, 1U), std::pair(2U, 17U), std::pair(0U, 0U)}) {
    const auto slot = seal(k, n);
    ASSERT_FALSE(slot.ok()) << k << " of " << n;
    EXPECT_EQ(slot.error().code, Code::usage);
  }
  EXPECT_FALSE(
      ThresholdRecipient(2, recipients(3)).wrap(random_secret(31).value(), some_checkpoint).ok());
}

TEST_F(ThresholdTest, AThresholdIsNoShare) {
  std::vector<std::unique_ptr<Recipient>> outer = recipients(1);
  outer.push_back(std::make_unique<ThresholdRecipient>(2, recipients(2)));
  const auto slot = ThresholdRecipient(2, std::move(outer)).wrap(data_key, some_checkpoint);
  ASSERT_FALSE(slot.ok());
  EXPECT_EQ(slot.error().code, Code::usage);
  EXPECT_NE(slot.error().message.find("Recipient 2"), std::string::npos);
}

TEST_F(ThresholdTest, TheErrorOfARecipientIsPassedOn) {
  std::vector<std::unique_ptr<Recipient>> both = recipients(1);
  both.push_back(std::make_unique<PassphraseRecipient>(Secret::copy_of(as_bytes("x")).value(),
                                                       Argon2Cost{1, 1, 1}));
  const auto slot = ThresholdRecipient(2, std::move(both)).wrap(data_key, some_checkpoint);
  ASSERT_FALSE(slot.ok());
  EXPECT_NE(slot.error().message.find("cost"), std::string::npos);
}

class FixedRecipient : public Recipient {
 public:
  explicit FixedRecipient(SlotBody body) : body_(std::move(body)) {}
  Result<SlotBody> wrap(const Secret&, const Checkpoint&) override { return body_; }

 private:
  SlotBody body_;
};

class FixedIdentity : public Identity {
 public:
  explicit FixedIdentity(std::size_t size) : size_(size) {}
  Result<std::optional<Secret>> unwrap(const SlotBody&, const Checkpoint&) override {
    return std::optional<Secret>(random_secret(size_).value());
  }

 private:
  std::size_t size_;
};

TEST_F(ThresholdTest, SharesThatAreTooLargeAreRefused) {
  const auto wrap = [&](std::size_t count, std::size_t size) {
    std::vector<std::unique_ptr<Recipient>> out;
    for (std::size_t i = 0; i < count; ++i) {
      out.push_back(std::make_unique<FixedRecipient>(SlotBody{3, Bytes(size, 1)}));
    }
    return ThresholdRecipient(2, std::move(out)).wrap(data_key, some_checkpoint);
  };
  EXPECT_TRUE(wrap(3, 16384).ok());
  EXPECT_EQ(wrap(2, 16385).error().code, Code::usage);
  EXPECT_EQ(wrap(2, 0).error().code, Code::usage);
  EXPECT_EQ(wrap(4, 16384).error().code, Code::usage);
  EXPECT_EQ(wrap(16, 4089).value().bytes.size(), 2U + 16 * 4095);
  EXPECT_EQ(wrap(16, 4090).error().code, Code::usage);  // 65538
}

TEST_F(ThresholdTest, ValuesOfAnotherSizeAreRefused) {
  FixedIdentity identity(33);
  const auto key = ThresholdIdentity({&identity}).unwrap(body, some_checkpoint);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::integrity);
}

}  // namespace
}  // namespace ckptseal
