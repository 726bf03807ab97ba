// SPDX-License-Identifier: Apache-2.0
//
// Any k of n shares of a data key give it back and fewer do not; another implementation's shares
// do, too. docs/format.md, "Threshold slot".
#include "keymgr/threshold/shares.h"

#include <gtest/gtest.h>
extern "C" {
#include <libgfshare.h>
}

#include <algorithm>
#include <bit>

#include "base/crypto.h"
#include "keymgr/recipient.h"

namespace ckptseal {
namespace {

Share copy(const Share& share) {
  return {share.number, Secret::copy_of(share.value.view()).value()};
}

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
  const Secret data_key = from("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
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

}  // namespace
}  // namespace ckptseal
