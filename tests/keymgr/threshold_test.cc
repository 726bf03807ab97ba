// SPDX-License-Identifier: Apache-2.0
//
// Any k of n shares open and fewer do not, and what becomes of slots that are not as written.
// docs/format.md, "Threshold slot".
#include "keymgr/threshold/threshold.h"

#include <gtest/gtest.h>
extern "C" {
#include <libgfshare.h>
}

#include <algorithm>
#include <bit>
#include <string>

#include "base/crypto.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/shares.h"

namespace ckptseal {
namespace {

constexpr CheckpointId some_id{1, 2, 3};
constexpr Argon2Cost cheap{64, 1, 4};
constexpr std::size_t recovery_body = 56;
constexpr std::size_t share_size = 6 + recovery_body;
constexpr std::string_view counting_key =
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";

Secret copy(const Secret& secret) { return Secret::copy_of(secret.view()).value(); }

Share copy(const Share& share) { return {share.number, copy(share.value)}; }

Secret from(std::string_view hex) { return Secret::copy_of(*from_hex(hex)).value(); }

bool same(const Secret& a, const Secret& b) { return equal_constant_time(a.view(), b.view()); }

// The shares of which the bit stands in `set`.
std::vector<Share> subset(const std::vector<Share>& all, unsigned set) {
  std::vector<Share> out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((set >> i & 1U) != 0) out.push_back(copy(all[i]));
  }
  return out;
}

// Of every set of k shares, or of those with two numbers in the middle where there are too many.
void expect_every_subset_joins(std::size_t k, std::size_t n) {
  const Secret data_key = random_secret(data_key_size).value();
  const std::vector<Share> shares = split_key(data_key, k, n).value();
  ASSERT_EQ(shares.size(), n);
  for (unsigned set = 0; set < (1U << n); ++set) {
    const auto count = static_cast<std::size_t>(std::popcount(set));
    if (count < 2 || count > n) continue;
    if (n > 8 && count != k && count + 1 != k) continue;
    const Secret joined = join_shares(subset(shares, set)).value();
    EXPECT_EQ(same(joined, data_key), count >= k) << k << " of " << n << " by " << set;
  }
}

TEST(Shares, EveryKOfNGiveTheKeyAndFewerDoNot) {
  for (std::size_t n = 2; n <= 7; ++n) {
    for (std::size_t k = 2; k <= n; ++k) expect_every_subset_joins(k, n);
  }
}

TEST(Shares, AllOfSixteenAreEnoughAndFifteenAreNot) { expect_every_subset_joins(16, 16); }

TEST(Shares, TwoOfSixteen) { expect_every_subset_joins(2, 16); }

TEST(Shares, EveryThresholdOfSixteen) {
  const Secret data_key = random_secret(data_key_size).value();
  for (std::size_t k = 2; k <= 16; ++k) {
    const std::vector<Share> shares = split_key(data_key, k, 16).value();
    for (std::size_t first = 0; first + k <= 16; ++first) {
      const unsigned set = ((1U << k) - 1) << first;
      EXPECT_TRUE(same(join_shares(subset(shares, set)).value(), data_key)) << k << " " << first;
      if (k == 2) continue;
      const unsigned too_few = set & (set - 1);
      EXPECT_FALSE(same(join_shares(subset(shares, too_few)).value(), data_key)) << k;
    }
  }
}

TEST(Shares, TheirOrderDoesNotMatter) {
  const Secret data_key = random_secret(data_key_size).value();
  std::vector<Share> shares = split_key(data_key, 3, 5).value();
  std::reverse(shares.begin(), shares.end());
  EXPECT_TRUE(same(join_shares(std::span(shares).first(3)).value(), data_key));
}

TEST(Shares, AreNewEachTimeAndNeverTheKey) {
  const Secret data_key = random_secret(data_key_size).value();
  const std::vector<Share> one = split_key(data_key, 2, 16).value();
  const std::vector<Share> two = split_key(data_key, 2, 16).value();
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].number, i + 1);
    EXPECT_FALSE(same(one[i].value, two[i].value));
    EXPECT_FALSE(same(one[i].value, data_key));
    for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(same(one[i].value, one[j].value));
  }
}

// The library overwrites by its random source, which therefore may not give what it gave before.
TEST(Shares, TheLibraryOverwritesWithZeros) {
  const Secret data_key = random_secret(data_key_size).value();
  (void)join_shares(split_key(data_key, 2, 2).value()).value();
  for (const std::size_t size : {1U, 32U, 64U}) {
    Bytes buffer(size, 0x5a);
    gfshare_fill_rand(buffer.data(), static_cast<unsigned>(size));
    EXPECT_TRUE(all_zero(buffer)) << size;
  }
}

// Made in Python by multiplication of polynomials modulo 0x11d without tables:
//
//   def mul(a, b):
//       p = 0
//       while b:
//           if b & 1: p ^= a
//           a <<= 1
//           if a & 0x100: a ^= 0x11d
//           b >>= 1
//       return p
//   def f(x, secret, coefficients):  # of x, x^2, ...
//       y, power = secret, 1
//       for c in coefficients: power = mul(power, x); y ^= mul(c, power)
//       return y
//
// with byte b of coefficient j being that of SHA-256("coefficient j").
TEST(Shares, KnownAnswers) {
  const Secret data_key = from(counting_key);
  const auto join = [](std::initializer_list<std::pair<unsigned, const char*>> values) {
    std::vector<Share> shares;
    for (const auto& [number, hex] : values) {
      shares.push_back({static_cast<std::uint8_t>(number), from(hex)});
    }
    return join_shares(shares).value();
  };
  constexpr auto of_2_1 = "d5a9bfe8461a6f93e09e26f692f47e93256c016d8f14f45d421cdc07999979f6";
  constexpr auto of_2_2 = "2ad1f8551da649af58a7cf71b07f73b7e776a972a28a521e318e16be96954d4d";
  constexpr auto of_2_3 = "7ff9c53edf39a0bb30b0630cae0683ab528b3a8cb90b30d4eb0b50229391aa24";
  EXPECT_TRUE(same(join({{1, of_2_1}, {2, of_2_2}}), data_key));
  EXPECT_TRUE(same(join({{3, of_2_3}, {1, of_2_1}}), data_key));
  EXPECT_TRUE(same(join({{2, of_2_2}, {3, of_2_3}}), data_key));
  EXPECT_FALSE(same(join({{2, of_2_1}, {1, of_2_2}}), data_key));
  EXPECT_TRUE(same(join({{2, "4d86da2a838885d2435b43d25dac09f66727491d01a9c81dabe893f472b17992"},
                         {3, "c8726197e8925f9ee473cc4e3f2869bdf289e231fbe9021ed9fab3f44ebc9305"},
                         {5, "cd94456e8261c872fe2a8548059bfcadd1b5e8c1b4679b97f72091e403101fea"}}),
                   data_key));
  EXPECT_TRUE(same(join({{1, "87c8cf867ffc067b80cc56389bb690cea0a838c983e66f50210780639137d1e9"},
                         {2, "3511870a5a1c9321673c6678d2bb28638cbf963c8316119b72154ac5a756ecb8"},
                         {3, "65c0ac534c36acf61cadab55903f86040469977f45fb6acf765bca3149f13c4b"},
                         {4, "7ba3abd1504921948d9c0106fc11f4b0d7dcd8608c980335966fa72abdef4f79"},
                         {5, "e39005a112ecae661458a212c4ed8abb4ac5598a1d7918caaddaf2ad486a9d55"},
                         {6, "262ff70158123da28ee0aa6471ba7fee502fcc0cb428f2865f5c6c8d08df2424"},
                         {7, "5966e61a1a4d588fd9c68a9c7b769f7c7b53fa2fad57da604c92a9b894c2c144"},
                         {8, "6dc060a2d30632604b89fa259b5c4846f3421b89df06bc239223c220dea1b39a"},
                         {9, "7aeac92b8581fc50ea97f80843e67b8776a848efd3436a7cdd2c2ae5e43cc124"},
                         {10, "e7769a791bf963537b96684914f17d92cea5df7847a753c00b9283edc089589b"},
                         {11, "9a2842bea5b92e84ebbb294c2572995138b19125a5a434fd26bb7ce529ef3709"},
                         {12, "d92f43411c5b2df0881368baf63dcab5838f1dcdfab1dec39230d2450be94a2b"},
                         {13, "f76439a7e20568ade7f57f01714171a94a2b214eb1edb031dbf5cfad4bb5b7aa"},
                         {14, "ab8ca51a4dad63a32a6bc8290c34b79d93cc0d188a8c9713f391c71c980c3de9"},
                         {15, "1adf254395de7c13a0e50ad3074b7c05db371b3bb0180ee1bc54d17e5b005535"},
                         {16, "d3ab847f40dc730ba62b7dd3a1f6403ea3345a4c113121d7ae0d1c0d55eaba99"}}),
                   data_key));
}

TEST(Shares, NumbersAreBounded) {
  const Secret data_key = random_secret(data_key_size).value();
  constexpr auto huge = static_cast<std::size_t>(-1);
  for (const auto& [k, n] : std::initializer_list<std::pair<std::size_t, std::size_t>>{{0, 0},
                                                                                       {0, 2},
                                                                                       {1, 1},
                                                                                       {1, 2},
                                                                                       {3, 2},
                                                                                       {2, 17},
                                                                                       {17, 17},
                                                                                       {258, 16},
                                                                                       {2, 258},
                                                                                       {huge, huge},
                                                                                       {2, huge}}) {
    const auto shares = split_key(data_key, k, n);
    ASSERT_FALSE(shares.ok()) << k << " of " << n;
    EXPECT_EQ(shares.error().code, Code::usage);
  }
  EXPECT_FALSE(split_key(random_secret(31).value(), 2, 3).ok());
}

TEST(Shares, WhatCannotBeJoinedIsRefused) {
  const Secret data_key = random_secret(data_key_size).value();
  const std::vector<Share> shares = split_key(data_key, 2, 3).value();
  EXPECT_FALSE(join_shares({}).ok());
  EXPECT_FALSE(join_shares(subset(shares, 1)).ok());
  const auto with = [&](unsigned number, std::size_t size) {
    std::vector<Share> out = subset(shares, 1);
    out.push_back({static_cast<std::uint8_t>(number), random_secret(size).value()});
    return join_shares(out).ok();
  };
  EXPECT_TRUE(with(16, 32));
  EXPECT_FALSE(with(1, 32));  // twice
  EXPECT_FALSE(with(0, 32));
  EXPECT_FALSE(with(17, 32));
  EXPECT_FALSE(with(2, 31));
  EXPECT_FALSE(with(2, 33));
}

// Three papers of which two are needed, but for tests that want others.
class ThresholdTest : public testing::Test {
 protected:
  ThresholdTest() : body(seal(2, 3).value()) {}

  Result<SlotBody> seal(std::size_t k, std::size_t n) {
    return ThresholdRecipient(k, recipients(n)).wrap(data_key, some_id);
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
                                       const CheckpointId& id = some_id) {
    std::vector<std::unique_ptr<Identity>> owners;
    std::vector<Identity*> identities;
    for (std::size_t i = 0; i < papers.size(); ++i) {
      if ((set >> i & 1U) == 0) continue;
      owners.push_back(std::make_unique<RecoveryIdentity>(copy(papers[i].key)));
      identities.push_back(owners.back().get());
    }
    return ThresholdIdentity(identities).unwrap(slot, id);
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
  EXPECT_EQ(unwrap(body, 7, CheckpointId{1, 2, 4}).error().code, Code::policy);
}

TEST_F(ThresholdTest, ForeignPapersSayThatTheyAreWrong) {
  const RecoveryKey foreign = RecoveryKey::generate().value();
  RecoveryIdentity identity(copy(foreign.key));
  const auto key = ThresholdIdentity({&identity}).unwrap(body, some_id);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::policy);
}

TEST_F(ThresholdTest, IsSkippedWhenNoShareIsForAnIdentity) {
  PassphraseIdentity passphrase(Secret::copy_of(as_bytes("correct horse")).value(), 1024);
  for (const std::vector<Identity*>& identities :
       {std::vector<Identity*>(), std::vector<Identity*>{&passphrase}}) {
    const auto key = ThresholdIdentity(identities).unwrap(body, some_id);
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
    body = ThresholdRecipient(2, std::move(recipients)).wrap(data_key, some_id).value();
  }

  static Secret text(std::string_view words) { return Secret::copy_of(as_bytes(words)).value(); }

  Result<std::optional<Secret>> unwrap(std::vector<Identity*> identities) {
    return ThresholdIdentity(std::move(identities)).unwrap(body, some_id);
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
  const SlotBody slot = ThresholdRecipient(2, std::move(both)).wrap(data_key, some_id).value();
  PassphraseIdentity identity(Secret::copy_of(as_bytes("correct horse")).value(), 1024);
  const auto key = ThresholdIdentity({&identity}).unwrap(slot, some_id);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_TRUE(same(*key.value(), data_key));
}

// Made in Python like the shares above, each wrapped with python3-cryptography for a recovery key
// of 16 times 11, 21 and 31.
TEST_F(ThresholdTest, KnownAnswer) {
  const SlotBody slot = {
      5, *from_hex("0203"
                   "0004000000380101010101010101ba088c8b827636f637f1b5d1354c697118b57b1ce140c4ef44"
                   "50e001ba1049f781f48f376a7a269953918d7923b8885e"
                   "0004000000380202020202020202b722c93e2ce2d9c24f3118c5f77090a80987e2d15ca9670374"
                   "33b03a96c2de8db1353c95de9ec96d26b7ad76535d12bc"
                   "0004000000380303030303030303a57db640ab613a95464ee97ed0efbb13ec8ffb415dc97295e8"
                   "fadc0357005c14c73f5732b1a23e5fb100e4bb0a4e8abc")};
  CheckpointId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(0x40 + i);
  papers.clear();
  for (const unsigned byte : {0x11U, 0x21U, 0x31U}) {
    const Bytes key(recovery_key_size, static_cast<std::uint8_t>(byte));
    papers.push_back({RecoveryId{}, Secret::copy_of(key).value()});
  }
  for (const unsigned set : {3U, 5U, 6U}) {
    const auto key = unwrap(slot, set, id);
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

TEST_F(ThresholdTest, KindsAreBounded) {
  ThresholdSlot slot = ThresholdSlot::parse(body.bytes).value();
  for (const int kind : {0, 5, 6, 0x104, 0xffff}) {
    slot.shares[1].kind = static_cast<std::uint16_t>(kind);
    expect_damaged(slot.serialize(), "kind " + std::to_string(kind));
  }
  for (const int kind : {1, 2, 3, 4}) {
    slot.shares[1].kind = static_cast<std::uint16_t>(kind);
    EXPECT_TRUE(ThresholdSlot::parse(slot.serialize()).ok()) << kind;
  }
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
  EXPECT_FALSE(ThresholdRecipient(2, recipients(3)).wrap(random_secret(31).value(), some_id).ok());
}

TEST_F(ThresholdTest, AThresholdIsNoShare) {
  std::vector<std::unique_ptr<Recipient>> outer = recipients(1);
  outer.push_back(std::make_unique<ThresholdRecipient>(2, recipients(2)));
  const auto slot = ThresholdRecipient(2, std::move(outer)).wrap(data_key, some_id);
  ASSERT_FALSE(slot.ok());
  EXPECT_EQ(slot.error().code, Code::usage);
  EXPECT_NE(slot.error().message.find("Recipient 2"), std::string::npos);
}

TEST_F(ThresholdTest, TheErrorOfARecipientIsPassedOn) {
  std::vector<std::unique_ptr<Recipient>> both = recipients(1);
  both.push_back(std::make_unique<PassphraseRecipient>(Secret::copy_of(as_bytes("x")).value(),
                                                       Argon2Cost{1, 1, 1}));
  const auto slot = ThresholdRecipient(2, std::move(both)).wrap(data_key, some_id);
  ASSERT_FALSE(slot.ok());
  EXPECT_NE(slot.error().message.find("cost"), std::string::npos);
}

class FixedRecipient : public Recipient {
 public:
  explicit FixedRecipient(SlotBody body) : body_(std::move(body)) {}
  Result<SlotBody> wrap(const Secret&, const CheckpointId&) override { return body_; }

 private:
  SlotBody body_;
};

class FixedIdentity : public Identity {
 public:
  explicit FixedIdentity(std::size_t size) : size_(size) {}
  Result<std::optional<Secret>> unwrap(const SlotBody&, const CheckpointId&) override {
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
    return ThresholdRecipient(2, std::move(out)).wrap(data_key, some_id);
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
  const auto key = ThresholdIdentity({&identity}).unwrap(body, some_id);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::integrity);
}

}  // namespace
}  // namespace ckptseal
