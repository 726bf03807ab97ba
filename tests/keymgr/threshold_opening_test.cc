// SPDX-License-Identifier: Apache-2.0
//
// Which shares of a threshold are read, and what those that do not open are for. docs/format.md,
// "Which slot opens" and "Threshold slot".
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/crypto.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/threshold.h"

namespace ckptseal {
namespace {

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

Secret copy(const Secret& secret) { return Secret::copy_of(secret.view()).value(); }

// A share that a MarkedIdentity of the same mark has something to say to: its body is the mark and
// the value.
class MarkedRecipient : public Recipient {
 public:
  explicit MarkedRecipient(std::uint8_t mark) : mark_(mark) {}
  Result<SlotBody> wrap(const Secret& value, const Checkpoint&) override {
    return SlotBody{0x7e57, ByteWriter().u8(mark_).bytes(value.view()).take()};
  }

 private:
  std::uint8_t mark_;
};

class MarkedIdentity : public Identity {
 public:
  // Without a code it opens.
  explicit MarkedIdentity(std::uint8_t mark, std::optional<Code> code = std::nullopt)
      : mark_(mark), code_(code) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& share, const Checkpoint&) override {
    if (share.kind != 0x7e57 || share.bytes[0] != mark_) return std::optional<Secret>();
    ++asked;
    if (code_) return Error{*code_, said(*code_), 0};
    return std::optional<Secret>(Secret::copy_of(ByteView(share.bytes).subspan(1)).value());
  }
  static std::string said(Code code) { return "The share says " + std::string(reason_word(code)); }

  int asked = 0;

 private:
  std::uint8_t mark_;
  std::optional<Code> code_;
};

// Two of the shares with the marks 1, 2 and 3.
class ThresholdOpening : public testing::Test {
 protected:
  ThresholdOpening() {
    std::vector<std::unique_ptr<Recipient>> recipients;
    for (const std::uint8_t mark : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
      recipients.push_back(std::make_unique<MarkedRecipient>(mark));
    }
    body = ThresholdRecipient(2, std::move(recipients)).wrap(data_key, some_checkpoint).value();
  }
  Result<std::optional<Secret>> unwrap(std::vector<Identity*> identities) {
    warnings.clear();
    ThresholdIdentity threshold(std::move(identities),
                                [this](const std::string& text) { warnings.push_back(text); });
    return threshold.unwrap(body, some_checkpoint);
  }
  void expect_opens(std::vector<Identity*> identities) {
    const auto key = unwrap(std::move(identities));
    ASSERT_TRUE(key.ok()) << key.error().message;
    ASSERT_TRUE(key.value());
    EXPECT_TRUE(equal_constant_time(key.value()->view(), data_key.view()));
  }
  void change_share(std::size_t index, const SlotBody& share) {
    ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
    slot.shares[index] = share;
    body.bytes = slot.serialize();
  }

  Secret data_key = random_secret(data_key_size).value();
  SlotBody body;
  std::vector<std::string> warnings;
  MarkedIdentity one{1};
  MarkedIdentity two{2};
  MarkedIdentity three{3};
};

TEST_F(ThresholdOpening, NothingIsReadBehindEnough) {
  expect_opens({&one, &two, &three});
  EXPECT_EQ(three.asked, 0);
  MarkedIdentity failing{3, Code::integrity};
  expect_opens({&one, &two, &failing});
  EXPECT_EQ(failing.asked, 0);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(ThresholdOpening, AShareIsOpenedOnce) {
  MarkedIdentity again{1};
  expect_opens({&one, &again, &two});
  EXPECT_EQ(one.asked, 1);
  EXPECT_EQ(again.asked, 0);
}

TEST_F(ThresholdOpening, WhatIsSkippedIsWarnedOf) {
  for (const Code code :
       {Code::no_slot, Code::integrity, Code::failed, Code::locked, Code::unavailable}) {
    MarkedIdentity failing{2, code};
    expect_opens({&one, &failing, &three});
    EXPECT_EQ(warnings, std::vector<std::string>{MarkedIdentity::said(code)});
  }
  for (const Code code : {Code::policy, Code::revoked}) {
    MarkedIdentity failing{2, code};
    expect_opens({&one, &failing, &three});
    EXPECT_TRUE(warnings.empty()) << "it was tried";
  }
}

TEST_F(ThresholdOpening, AShareOfAnUnknownKindIsSkipped) {
  change_share(1, {0x1234, {2}});
  expect_opens({&one, &two, &three});
  EXPECT_TRUE(warnings.empty());
  const auto key = unwrap({&one, &two});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::no_slot) << "they met nothing";
}

TEST_F(ThresholdOpening, AValueOfAnotherSizeIsSkipped) {
  change_share(1, {0x7e57, Bytes(32, 2)});  // the mark and 31 bytes
  expect_opens({&one, &two, &three});
  EXPECT_EQ(warnings.size(), 1U);
  const auto key = unwrap({&one, &two});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::integrity);
}

// Of two that fail, whichever comes first.
TEST_F(ThresholdOpening, TooFewAnswerWithTheHeaviest) {
  constexpr Code by_weight[] = {Code::locked, Code::unavailable, Code::policy,    Code::revoked,
                                Code::failed, Code::integrity,   Code::untrusted, Code::no_slot};
  for (std::size_t heavy = 0; heavy < std::size(by_weight); ++heavy) {
    for (std::size_t light = heavy; light < std::size(by_weight); ++light) {
      for (const bool heavy_first : {true, false}) {
        MarkedIdentity first{2, by_weight[heavy_first ? heavy : light]};
        MarkedIdentity second{3, by_weight[heavy_first ? light : heavy]};
        const auto key = unwrap({&one, &first, &second});
        ASSERT_FALSE(key.ok());
        EXPECT_EQ(key.error().code, by_weight[heavy]);
      }
    }
  }
}

// A wrong passphrase is no reason to skip a slot; too few values are.
TEST_F(ThresholdOpening, TooFewAreWarnedOfThoughTheyWereTried) {
  for (const Code code : {Code::policy, Code::revoked}) {
    MarkedIdentity failing{2, code};
    EXPECT_EQ(unwrap({&one, &failing}).error().code, code);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("2 of 3"), std::string::npos) << warnings[0];
  }
}

TEST_F(ThresholdOpening, AMistakeOfTheCallerEndsIt) {
  MarkedIdentity failing{1, Code::usage};
  const auto key = unwrap({&failing, &two, &three});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::usage);
  EXPECT_EQ(two.asked, 0);
}

TEST_F(ThresholdOpening, WithoutAShareForTheReaderItIsForSomebodyElse) {
  MarkedIdentity other{9};
  const auto key = unwrap({&other});
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_FALSE(key.value());
}

// All its shares are told apart before one is read.
TEST_F(ThresholdOpening, WhatIsNotAsThePageSaysIsEveryReaders) {
  body.bytes.pop_back();
  MarkedIdentity other{9};
  for (const std::vector<Identity*>& identities :
       {std::vector<Identity*>{}, {&other}, {&one, &two}}) {
    const auto key = unwrap(identities);
    ASSERT_FALSE(key.ok());
    EXPECT_EQ(key.error().code, Code::integrity);
  }
  EXPECT_EQ(one.asked, 0);
}

// Shares of real kinds.
class RecoveryShares : public testing::Test {
 protected:
  RecoveryShares() {
    std::vector<std::unique_ptr<Recipient>> recipients;
    for (std::size_t i = 0; i < 3; ++i) {
      papers.push_back(RecoveryKey::generate().value());
      recipients.push_back(
          std::make_unique<RecoveryRecipient>(RecoveryKey{papers[i].id, copy(papers[i].key)}));
      owners.push_back(std::make_unique<RecoveryIdentity>(copy(papers[i].key)));
    }
    slot = ThresholdSlot::parse(ThresholdRecipient(2, std::move(recipients))
                                    .wrap(data_key, some_checkpoint)
                                    .value()
                                    .bytes)
               .value();
  }
  Result<std::optional<Secret>> unwrap(std::vector<Identity*> identities) {
    warnings.clear();
    ThresholdIdentity threshold(std::move(identities),
                                [this](const std::string& text) { warnings.push_back(text); });
    return threshold.unwrap({5, slot.serialize()}, some_checkpoint);
  }
  Identity* owner(std::size_t i) { return owners[i].get(); }

  std::vector<RecoveryKey> papers;
  std::vector<std::unique_ptr<Identity>> owners;
  Secret data_key = random_secret(data_key_size).value();
  ThresholdSlot slot;
  std::vector<std::string> warnings;
};

TEST_F(RecoveryShares, AMalformedThirdOneIsNotReached) {
  slot.shares[2].bytes.pop_back();
  const auto key = unwrap({owner(0), owner(1)});
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_TRUE(equal_constant_time(key.value()->view(), data_key.view()));
  EXPECT_TRUE(warnings.empty());
}

TEST_F(RecoveryShares, AMalformedSecondOneIsSkipped) {
  slot.shares[1].bytes.pop_back();
  const auto key = unwrap({owner(0), owner(2)});
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_TRUE(equal_constant_time(key.value()->view(), data_key.view()));
  EXPECT_FALSE(warnings.empty());
  const auto too_few = unwrap({owner(0)});
  ASSERT_FALSE(too_few.ok());
  EXPECT_EQ(too_few.error().code, Code::integrity) << too_few.error().message;
}

TEST_F(RecoveryShares, AWarningIsToldOnce) {
  slot.shares[1].bytes.pop_back();
  ASSERT_TRUE(unwrap({owner(0), owner(2)}).ok());
  EXPECT_EQ(warnings.size(), 1U) << "both papers read it";
}

// What was tried is work, in shares as in slots.
TEST(PassphraseShares, AreWorkAsSlotsAre) {
  constexpr Argon2Cost cheap{64, 1, 1};
  const Secret data_key = random_secret(data_key_size).value();
  const auto words = [](const char* text) { return Secret::copy_of(as_bytes(text)).value(); };
  std::vector<std::unique_ptr<Recipient>> recipients(16);
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    recipients[i] = std::make_unique<PassphraseRecipient>(words(i < 14 ? "other" : "right"), cheap);
  }
  const SlotBody body =
      ThresholdRecipient(2, std::move(recipients)).wrap(data_key, some_checkpoint).value();
  PassphraseIdentity enough(words("right"), 64);  // 16 derivations
  EXPECT_TRUE(ThresholdIdentity({&enough}).unwrap(body, some_checkpoint).ok());
  PassphraseIdentity too_little(words("right"), 64);
  const SlotBody first =
      PassphraseRecipient(words("another"), cheap).wrap(data_key, some_checkpoint).value();
  EXPECT_EQ(too_little.unwrap(first, some_checkpoint).error().code, Code::policy);
  const auto key = ThresholdIdentity({&too_little}).unwrap(body, some_checkpoint);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::failed);
}

}  // namespace
}  // namespace ckptseal
