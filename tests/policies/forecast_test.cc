// SPDX-License-Identifier: Apache-2.0
//
// What is foreseen of a policy. That it then comes so is shown in tests/cli/preflight_test.py.
#include "policies/forecast.h"

#include <gtest/gtest.h>

#include "software_host.h"

namespace ckptseal {
namespace {

using Verdict = Forecast::Verdict;

class ForecastTest : public testing::Test {
 protected:
  ForecastTest() {
    state.pcrs.pcrs = {{4, Digest{4}}, {7, Digest{7}}, {11, Digest{11}}};
    state.epoch = {0x01800f00, 5};
  }
  static PcrTerm pcr(unsigned number, std::uint8_t value) {
    return {{PcrSelection::of_mask(1U << number).value(), {Digest{value}}}};
  }
  ApprovalTerm approvals(ApprovalPurpose purpose = ApprovalPurpose::restore) const {
    return {purpose, authority.point(), "fleet"};
  }
  Approval approve(const PcrTerm& term, std::optional<EpochTerm> epoch = {}) const {
    ApprovalStatement statement;
    statement.term = approvals();
    statement.pcrs = term.pcrs;
    statement.epoch = epoch;
    statement.created = 1;
    return Approval::sign(statement,
                          [this](const Digest& digest) -> Result<EcdsaSignature> {
                            return authority.sign(digest);
                          })
        .value();
  }
  Verdict verdict(const Policy& policy, const std::vector<Approval>& at_hand = {}) const {
    return forecast(policy, state, at_hand).verdict;
  }

  ForeseenState state;
  test::SoftwareKey authority;
};

TEST_F(ForecastTest, LiteralValues) {
  EXPECT_EQ(verdict({{pcr(7, 7)}}), Verdict::opens);
  EXPECT_EQ(verdict({{pcr(7, 7), PinTerm{}}}), Verdict::opens_with_pin);
  const OnlineTerm online{authority.point()};
  EXPECT_EQ(verdict({{pcr(7, 7), online}}), Verdict::opens_with_answer);
  EXPECT_EQ(verdict({{pcr(7, 7), online, PinTerm{}}}), Verdict::opens_with_answer);
  EXPECT_EQ(verdict({{pcr(7, 9), online}}), Verdict::other_pcrs);
  EXPECT_EQ(verdict({{AnyTerm{{{{online}}, {{pcr(7, 7), PinTerm{}}}}}}}), Verdict::opens_with_pin);
  EXPECT_EQ(verdict_word(Verdict::opens_with_answer), "opens_with_answer");
  EXPECT_EQ(verdict_word(Verdict::never), "never");
  const Forecast other = forecast({{pcr(7, 7), pcr(4, 9)}}, state, {});
  EXPECT_EQ(other.verdict, Verdict::other_pcrs);
  EXPECT_EQ(other.pcrs, (std::vector<unsigned>{4}));
  const Forecast unknown = forecast({{pcr(7, 7), pcr(12, 9)}}, state, {});
  EXPECT_EQ(unknown.verdict, Verdict::unknown);
  EXPECT_EQ(unknown.pcrs, (std::vector<unsigned>{12}));
  // What is known to differ is enough.
  EXPECT_EQ(verdict({{pcr(4, 9), pcr(12, 9)}}), Verdict::other_pcrs);
  EXPECT_EQ(verdict({}), Verdict::opens);
}

TEST_F(ForecastTest, TheEpoch) {
  EXPECT_EQ(verdict({{EpochTerm{0x01800f00, 5}}}), Verdict::opens);
  EXPECT_EQ(verdict({{EpochTerm{0x01800f00, 6}}}), Verdict::opens);
  EXPECT_EQ(verdict({{EpochTerm{0x01800f00, 4}}}), Verdict::revoked);
  EXPECT_EQ(verdict({{EpochTerm{0x01800f01, 5}}}), Verdict::revoked);
  // No approval cures it.
  EXPECT_EQ(verdict({{approvals(), EpochTerm{0x01800f00, 4}}}, {approve(pcr(7, 7))}),
            Verdict::revoked);
}

TEST_F(ForecastTest, Approvals) {
  const Policy policy{{approvals(), EpochTerm{0x01800f00, 5}}};
  EXPECT_EQ(verdict(policy, {approve(pcr(7, 7))}), Verdict::opens);
  EXPECT_EQ(verdict(policy, {approve(pcr(7, 8)), approve(pcr(7, 7))}), Verdict::opens);
  const Forecast none = forecast(policy, state, {});
  EXPECT_EQ(none.verdict, Verdict::not_approved);
  EXPECT_EQ(none.authority, approvals());
  const Forecast other = forecast(policy, state, {approve(pcr(7, 8))});
  EXPECT_EQ(other.verdict, Verdict::not_approved);
  EXPECT_EQ(other.pcrs, (std::vector<unsigned>{7}));
  EXPECT_EQ(verdict(policy, {approve(pcr(12, 1))}), Verdict::unknown);
  EXPECT_EQ(verdict(policy, {approve(pcr(7, 7), EpochTerm{0x01800f00, 4})}), Verdict::not_approved);
  EXPECT_EQ(verdict(policy, {approve(pcr(7, 7), EpochTerm{0x01800f00, 5})}), Verdict::opens);
  // Of another domain.
  Policy elsewhere = policy;
  std::get<ApprovalTerm>(elsewhere.terms[0]).domain = "other";
  EXPECT_EQ(verdict(elsewhere, {approve(pcr(7, 7))}), Verdict::not_approved);
  // A literal value beside the approval is not cured by one.
  EXPECT_EQ(verdict({{approvals(), pcr(4, 9)}}, {approve(pcr(7, 7))}), Verdict::other_pcrs);
  EXPECT_EQ(verdict({{approvals(), pcr(4, 9)}}), Verdict::other_pcrs);
}

TEST_F(ForecastTest, TheBestOfSeveralPaths) {
  const Policy either{{AnyTerm{{{{pcr(4, 9)}}, {{pcr(7, 7), PinTerm{}}}}}}};
  EXPECT_EQ(verdict(either), Verdict::opens_with_pin);
  const Policy fleet{{AnyTerm{{{{approvals()}}, {{approvals(ApprovalPurpose::migrate)}}}}}};
  EXPECT_EQ(verdict(fleet), Verdict::not_approved);
  EXPECT_EQ(verdict(fleet, {approve(pcr(7, 7))}), Verdict::opens);
  EXPECT_EQ(verdict({{approvals(ApprovalPurpose::migrate)}}), Verdict::never);
}

TEST_F(ForecastTest, EveryVerdictHasAWord) {
  EXPECT_EQ(verdict_word(Verdict::opens), "opens");
  EXPECT_EQ(verdict_word(Verdict::never), "never");
}

}  // namespace
}  // namespace ckptseal
