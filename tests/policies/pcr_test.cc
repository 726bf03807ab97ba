// SPDX-License-Identifier: Apache-2.0
//
// PCR selections and their digests against values computed elsewhere. A TPM's own opinion of them
// is in policies_swtpm_test.cc.
#include "policies/pcr.h"

#include <gtest/gtest.h>

#include "base/crypto.h"

namespace ckptseal {
namespace {

PcrSelection select(std::string_view text) { return PcrSelection::parse(text).value(); }

// The value of each PCR is SHA-256("PCR" || n), n in one byte.
PcrValues made_up_values(const PcrSelection& selection) {
  PcrValues out{selection, {}};
  for (const unsigned pcr : selection.indices()) {
    const std::uint8_t message[] = {'P', 'C', 'R', static_cast<std::uint8_t>(pcr)};
    out.values.push_back(Sha256::of(message));
  }
  return out;
}

TEST(PcrSelection, ReadsWhatUsersWrite) {
  for (const char* text : {"sha256:0,2,4", "0,2,4", "0+2+4", "sha256:4+2+0", "0,2,2,4"}) {
    const Result<PcrSelection> selection = PcrSelection::parse(text);
    ASSERT_TRUE(selection.ok()) << text;
    EXPECT_EQ(selection.value().text(), "sha256:0,2,4") << text;
    EXPECT_EQ(selection.value().mask(), 0x15U) << text;
  }
  EXPECT_EQ(select("23").mask(), 0x800000U);
}

TEST(PcrSelection, RefusesWhatIsNone) {
  for (const char* text : {"",     ":",     "sha256:",     "sha1:0", "SHA256:0",
                           "0,",   ",0",    "0,,2",        "24",     "10",
                           "0,10", "-1",    "+1",          "0x1",    "1 ",
                           " 1",   "0,2;4", "99999999999", "a",      "sha256:sha256:0"}) {
    const Result<PcrSelection> selection = PcrSelection::parse(text);
    ASSERT_FALSE(selection.ok()) << text;
    EXPECT_EQ(selection.error().code, Code::usage) << text;
    EXPECT_EQ(selection.error().message.back(), '.') << text;
  }
}

TEST(PcrSelection, MasksAreCheckedBitByBit) {
  EXPECT_FALSE(PcrSelection::of_mask(0).ok());
  for (unsigned bit = 0; bit < 32; ++bit) {
    const Result<PcrSelection> selection = PcrSelection::of_mask(1U << bit);
    EXPECT_EQ(selection.ok(), bit < 24 && bit != 10) << bit;
    if (!selection.ok()) continue;
    EXPECT_TRUE(selection.value().contains(bit));
    EXPECT_EQ(selection.value().indices(), std::vector<unsigned>{bit});
  }
}

TEST(PcrSelection, StandardIsTheOneOfTheDocuments) {
  EXPECT_EQ(PcrSelection::standard().text(), "sha256:0,2,4,7,8,9,11,12");
  EXPECT_EQ(PcrSelection::standard().size(), 8U);
  EXPECT_EQ(PcrSelection::of_mask(PcrSelection::standard().mask()).value(),
            PcrSelection::standard());
}

TEST(PcrValues, KnowsWhatDiffers) {
  const PcrValues approved = made_up_values(select("0,4,7"));
  PcrValues current = approved;
  EXPECT_TRUE(approved.differing(current).empty());
  current.values[1][31] ^= 1;
  current.values[2][0] ^= 0x80;
  EXPECT_EQ(approved.differing(current), (std::vector<unsigned>{4, 7}));
  current.values.pop_back();
  EXPECT_EQ(approved.differing(current), (std::vector<unsigned>{4, 7}));
}

TEST(PcrValues, AllZeroMeansAll) {
  PcrValues values{select("0,7"), {Digest{}, Digest{}}};
  EXPECT_TRUE(values.all_zero());
  values.values[1][31] = 1;
  EXPECT_FALSE(values.all_zero());
}

// The expected digests: Python's hashlib over the formula in policies/pcr.h; the first one is also
// what tpm2_policypcr printed.
TEST(PolicyPcr, KnownAnswers) {
  const PcrValues zeros{select("0,7"), {Digest{}, Digest{}}};
  EXPECT_EQ(to_hex(policy_pcr(zeros.selection, zeros.digest())),
            "02e3642b3e29eeccfffd8031c00a6f0a0febe5ceea2f6ef6b0322fe81598cf31");

  const PcrValues standard = made_up_values(PcrSelection::standard());
  EXPECT_EQ(to_hex(standard.digest()),
            "0746179178ef09d9ef0cd6b68c675419373b990ee19b77d5454a8ef9284c4157");
  EXPECT_EQ(to_hex(policy_pcr(standard.selection, standard.digest())),
            "2436916b637f5875ce2b0b94553e5d72b9787d160b728a9c6b3b029a2ca7173e");

  PcrValues last{select("23"), {Digest{}}};
  last.values[0].fill(0xff);
  EXPECT_EQ(to_hex(policy_pcr(last.selection, last.digest())),
            "e22f7650912d975ae0669ae1dc987b84f09df49e1aa22e37d6bcbaef5f6c781c");
}

TEST(PolicyPcr, DependsOnSelectionAndValues) {
  const PcrValues values = made_up_values(select("0,4,7"));
  const Digest policy = policy_pcr(values.selection, values.digest());
  EXPECT_NE(policy, policy_pcr(select("0,4,8"), values.digest()));
  PcrValues other = values;
  other.values[0][0] ^= 1;
  EXPECT_NE(policy, policy_pcr(values.selection, other.digest()));
}

TEST(PcrPurpose, HasWordsForTheStandardOnes) {
  for (const unsigned pcr : PcrSelection::standard().indices()) {
    EXPECT_FALSE(pcr_purpose(pcr).empty()) << pcr;
  }
  EXPECT_EQ(pcr_purpose(4), "boot loader");
  EXPECT_EQ(pcr_purpose(7), "Secure Boot");
  EXPECT_EQ(pcr_purpose(24), "");
}

}  // namespace
}  // namespace ckptseal
