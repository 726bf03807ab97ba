// SPDX-License-Identifier: Apache-2.0
//
// Of the ways through a policy, which is taken first and what ends it. docs/policies.md, "Ways".
#include "online_fixture.h"

namespace ckptseal {
namespace {

using test::some;

class WaysTest : public test::OnlineTest {};

// A PIN comes first; a wrong one, or none, ends the ways that want it.
TEST_F(WaysTest, BehindAWrongPinTheApprovalIsAskedFor) {
  const SlotBody slot = seal({{AnyTerm{{{{online()}}, {{PinTerm{}}}}}}}, some, "1234");
  expect_open(open(slot, authority_answers(), "1234"));
  EXPECT_EQ(asked, 0);
  expect_open(open(slot, authority_answers(), "4321"));
  EXPECT_EQ(asked, 1);
  expect_open(open(slot, authority_answers()));
  EXPECT_EQ(asked, 2);
  expect_refused(open(slot, nullptr, "4321"), Code::policy, "PIN is wrong");
  const auto refuses = [](ByteView) -> Result<Bytes> { return Error{Code::revoked, "Over.", 0}; };
  expect_refused(open(slot, refuses), Code::revoked, "Over.");
}

TEST_F(WaysTest, OfAWrongPinAndARefusedApprovalThePinIsTheAnswer) {
  const SlotBody slot = seal({{AnyTerm{{{{online()}}, {{PinTerm{}}}}}}}, some, "1234");
  const auto refuses = [](ByteView) -> Result<Bytes> { return Error{Code::revoked, "Over.", 0}; };
  expect_refused(open(slot, refuses, "4321"), Code::policy, "PIN is wrong");
  const SlotBody both = seal({{AnyTerm{{{{PinTerm{}, online()}}, {{PinTerm{}}}}}}}, some, "1234");
  expect_refused(open(both, authority_answers(), "4321"), Code::policy, "PIN is wrong");
  EXPECT_EQ(asked, 0);
}

TEST_F(WaysTest, ARefusalIsNotLostBehindAnotherWay) {
  const SlotBody slot =
      seal({{AnyTerm{{{{online(), pcrs_now("7")}}, {{online(), pcrs_now("12")}}}}}});
  int calls = 0;
  expect_refused(open(slot,
                      [&](ByteView) -> Result<Bytes> {
                        ++calls;
                        return Error{Code::revoked, "Over.", 0};
                      }),
                 Code::revoked, "Over.");
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace ckptseal
