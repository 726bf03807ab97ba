// SPDX-License-Identifier: Apache-2.0
//
// Release policies on a real software TPM: slots open exactly when their policy is met.
// docs/policies.md.
#include <gtest/gtest.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <map>

#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/provision.h"
#include "keymgr/tpm2/slot.h"
#include "keymgr/tpm2/tpm_identity.h"
#include "own_tpm.h"
#include "software_host.h"

namespace ckptseal {
namespace {

using testing::OwnTpm;

constexpr Checkpoint some_checkpoint{{4, 2}, {}};

struct Help {
  std::vector<Approval> approvals;
  std::string pin;
  TicketCache* tickets = nullptr;
  std::optional<unsigned> cap_pcr = {};
};

class PolicyTest : public ::testing::Test {
 protected:
  PolicyTest() {
    TpmConnection connection = own.connect();
    identity = provision_tpm(connection).value();
    tpm.emplace(own.connect(), identity.keys);
  }

  PcrTerm pcrs_now(const char* selection) {
    return {tpm->read_pcrs(PcrSelection::parse(selection).value()).value()};
  }
  ApprovalTerm approvals(const char* domain = "fleet",
                         ApprovalPurpose purpose = ApprovalPurpose::restore) const {
    return {purpose, authority.point(), domain};
  }
  EpochTerm epoch() const { return {identity.epoch_index, identity.epoch}; }

  // The policy that facts and defaults are about: restore or migrate, each until the epoch ends.
  Policy fleet_policy(bool with_pin = false) const {
    Policy restore{{approvals(), epoch()}};
    Policy migrate{{approvals("fleet", ApprovalPurpose::migrate), epoch()}};
    if (with_pin) restore.terms.emplace_back(PinTerm{});
    return {{AnyTerm{{restore, migrate}}}};
  }

  ApprovalStatement statement_now(const char* selection = "4,7") {
    ApprovalStatement out;
    out.term = approvals();
    out.pcrs = pcrs_now(selection).pcrs;
    out.created = 1;
    return out;
  }
  Approval approve(const ApprovalStatement& statement) const {
    return Approval::sign(statement,
                          [this](const Digest& digest) -> Result<EcdsaSignature> {
                            return authority.sign(digest);
                          })
        .value();
  }

  SlotBody seal(const Policy& policy, const char* pin = nullptr) {
    std::shared_ptr<const Secret> secret;
    if (pin != nullptr) {
      secret = std::make_shared<const Secret>(Secret::copy_of(as_bytes(pin)).value());
    }
    Tpm2Recipient recipient(identity.storage_parent, policy, Digest{1}, secret);
    return recipient.wrap(data_key, some_checkpoint).value();
  }

  Result<Secret> open(const SlotBody& slot, const Help& with = {}) {
    ReleaseHelp help;
    help.approvals = [&] { return ApprovalsAtHand{with.approvals, {}}; };
    if (!with.pin.empty()) help.pin = [&] { return Secret::copy_of(as_bytes(with.pin)); };
    help.cap_pcr = with.cap_pcr;
    help.tickets = std::shared_ptr<TicketCache>(std::shared_ptr<void>(), with.tickets);
    Tpm2Identity us(*tpm, identity.storage_parent.name(), std::move(help));
    tpm->connection().forget_commands();
    Result<std::optional<Secret>> out = us.unwrap(slot, some_checkpoint);
    if (!out.ok()) return std::move(out).error();
    CKPTSEAL_TRY(us.before_use());
    return std::move(*std::move(out).value());
  }
  std::string opens(const SlotBody& slot, const Help& with = {}) {
    const Result<Secret> out = open(slot, with);
    if (!out.ok()) return out.error().message;
    EXPECT_TRUE(same_bytes(out.value().view(), data_key.view()));
    return "";
  }
  void expect_refused(const SlotBody& slot, const Help& with, Code code, const char* why) {
    const Result<Secret> out = open(slot, with);
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_NE(out.error().message.find(why), std::string::npos) << out.error().message;
    EXPECT_EQ(own.loaded(), 0U);
  }
  std::size_t commands() { return tpm->connection().commands().size(); }

  void revoke() {
    TpmConnection connection = own.connect();
    ASSERT_TRUE(count_epoch(connection, identity.epoch_index).ok());
  }

  OwnTpm own;
  TpmIdentity identity;
  std::optional<EsysTpm> tpm;
  test::SoftwareKey authority;
  Secret data_key = random_secret(data_key_size).value();
};

TEST_F(PolicyTest, TheCommandsOfARestoreAreCounted) {
  const SlotBody slot = seal(fleet_policy());
  Help help{{approve(statement_now())}, "", nullptr};
  EXPECT_EQ(opens(slot, help), "");
  EXPECT_EQ(commands(), 12U);
  Bytes saved;
  TicketCache cache({}, [&](const Bytes& content) { saved = content; });
  help.tickets = &cache;
  EXPECT_EQ(opens(slot, help), "");
  EXPECT_EQ(commands(), 12U);
  EXPECT_EQ(opens(slot, help), "");
  const std::vector<std::uint32_t> warm = {
      TPM2_CC_Import,          TPM2_CC_Load,     TPM2_CC_StartAuthSession, TPM2_CC_PolicyPCR,
      TPM2_CC_PolicyAuthorize, TPM2_CC_PolicyNV, TPM2_CC_PolicyOR,         TPM2_CC_Unseal,
      TPM2_CC_FlushContext};
  EXPECT_EQ(tpm->connection().commands(), warm);
  // As a later command finds it.
  TicketCache read_again(saved, {});
  help.tickets = &read_again;
  EXPECT_EQ(opens(slot, help), "");
  EXPECT_EQ(commands(), 9U);

  const SlotBody with_pin = seal(fleet_policy(true), "1234");
  help.pin = "1234";
  // At the first PIN since it was started the TPM writes that down, and asks to be asked again.
  EXPECT_EQ(opens(with_pin, help), "");
  EXPECT_EQ(commands(), 11U);
  EXPECT_EQ(opens(with_pin, help), "");
  EXPECT_EQ(commands(), 10U);
}

TEST_F(PolicyTest, AnApprovedUpdateOpensAndAnUnapprovedOneDoesNot) {
  const SlotBody slot = seal(fleet_policy());
  ApprovalStatement old_kernel = statement_now();
  old_kernel.label = "6.1";
  Help help{{approve(old_kernel)}, "", nullptr};
  EXPECT_EQ(opens(slot, help), "");
  own.extend(4);
  expect_refused(slot, help, Code::policy, "PCR 4 (boot loader) differs");
  expect_refused(slot, help, Code::policy, "\"6.1\"");
  help.approvals.push_back(approve(statement_now()));
  EXPECT_EQ(opens(slot, help), "");
  // The PCRs choose between the two, whichever comes first.
  std::reverse(help.approvals.begin(), help.approvals.end());
  EXPECT_EQ(opens(slot, help), "");
}

TEST_F(PolicyTest, ApprovalsOfOthersDoNotServe) {
  const SlotBody slot = seal(fleet_policy());
  expect_refused(slot, {}, Code::policy, "No approval for the domain \"fleet\"");
  ApprovalStatement other_domain = statement_now();
  other_domain.term.domain = "other";
  expect_refused(slot, {{approve(other_domain)}, "", nullptr}, Code::policy, "No approval");
  const test::SoftwareKey forger;
  ApprovalStatement forged = statement_now();
  forged.term.key = forger.point();
  const Approval theirs = Approval::sign(forged, [&](const Digest& d) -> Result<EcdsaSignature> {
                            return forger.sign(d);
                          }).value();
  expect_refused(slot, {{theirs}, "", nullptr}, Code::policy, "No approval");
}

// What the TPM itself says when the software would let them through.
TEST_F(PolicyTest, TheTpmRefusesThemByItself) {
  const SlotBody slot = seal(fleet_policy());
  const Tpm2Slot parsed = Tpm2Slot::parse(slot.bytes, some_checkpoint).value();
  const std::vector<PolicyPath> paths = policy_paths(parsed.policy, some_checkpoint);
  // The restore path with an approval for migration's reference: the OR has no such branch.
  ApprovalStatement other = statement_now();
  other.term.domain = "other";
  const Approval approval = approve(other);
  PolicyPath path = paths.front();
  std::get<ApprovalTerm>(path.front()).domain = "other";
  PolicyRun run(path);
  run.approval = &approval;
  Result<Secret> out = tpm->unseal(parsed.object, run);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::policy);
  EXPECT_EQ(out.error().cause, 0x1c4U);
  // Without the OR it is no policy of the object at all.
  path.pop_back();
  PolicyRun without_or(path);
  without_or.approval = &approval;
  out = tpm->unseal(parsed.object, without_or);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().cause, 0x99dU);
}

TEST_F(PolicyTest, AForgedTicketIsNotTaken) {
  const SlotBody slot = seal(fleet_policy());
  const Approval approval = approve(statement_now());
  TicketCache forged({}, {});
  forged.keep(approval, Bytes(32, 0x5a));
  Help help{{approval}, "", &forged};
  EXPECT_EQ(opens(slot, help), "");  // verified anew
  EXPECT_GT(commands(), 12U);
  EXPECT_NE(forged.find(approval), Bytes(32, 0x5a));
  EXPECT_EQ(opens(slot, help), "");
  EXPECT_EQ(commands(), 9U);
  // For a state that nobody approved no ticket helps.
  own.extend(7);
  ApprovalStatement claimed = statement_now();
  const test::SoftwareKey forger;
  claimed.term.key = forger.point();
  const Approval theirs = Approval::sign(claimed, [&](const Digest& d) -> Result<EcdsaSignature> {
                            return forger.sign(d);
                          }).value();
  PolicyPath path = policy_paths(fleet_policy(), some_checkpoint).front();
  std::get<ApprovalTerm>(path.front()).key = forger.point();
  PolicyRun run(path);
  run.approval = &theirs;
  EXPECT_FALSE(tpm->unseal(Tpm2Slot::parse(slot.bytes, some_checkpoint).value().object, run).ok());
}

TEST_F(PolicyTest, RevocationEndsWhatWasSealedBefore) {
  const SlotBody slot = seal(fleet_policy());
  const SlotBody literal = seal({{pcrs_now("7"), epoch()}});
  const Help help{{approve(statement_now())}, "", nullptr};
  EXPECT_EQ(opens(slot, help), "");
  EXPECT_EQ(opens(literal), "");
  revoke();
  expect_refused(slot, help, Code::revoked, "revoked");
  expect_refused(literal, {}, Code::revoked, "revoked");
  ++identity.epoch;
  EXPECT_EQ(opens(seal(fleet_policy()), help), "");
}

// An approval of an old kernel, kept and brought back.
TEST_F(PolicyTest, AnApprovalWithAnEpochEndsWithIt) {
  ApprovalStatement old_kernel = statement_now();
  old_kernel.epoch = epoch();
  const Help help{{approve(old_kernel)}, "", nullptr};
  EXPECT_EQ(opens(seal(fleet_policy()), help), "");
  revoke();
  ++identity.epoch;
  expect_refused(seal(fleet_policy()), help, Code::revoked, "epoch");
}

TEST_F(PolicyTest, APinIsAskedForAndWrongOnesLock) {
  const SlotBody slot = seal({{pcrs_now("7"), PinTerm{}}}, "correct");
  expect_refused(slot, {}, Code::failed, "PIN");
  EXPECT_EQ(opens(slot, {{}, "correct", nullptr}), "");
  const Help wrong{{}, "wrong", nullptr};
  expect_refused(slot, wrong, Code::policy, "The PIN is wrong: ");
  EXPECT_EQ(opens(slot, {{}, "correct", nullptr}), "");
  for (int i = 0; i < 40; ++i) {
    const Result<Secret> out = open(slot, wrong);
    ASSERT_FALSE(out.ok());
    if (out.error().code == Code::locked) break;
    ASSERT_EQ(out.error().code, Code::policy);
  }
  expect_refused(slot, wrong, Code::locked, "locked");
  expect_refused(slot, {{}, "correct", nullptr}, Code::locked, " s, or once its owner");
  // What has no PIN is not locked.
  EXPECT_EQ(opens(seal({{pcrs_now("7")}})), "");
}

TEST_F(PolicyTest, APinBelongsToItsCheckpoint) {
  const Secret pin = Secret::copy_of(as_bytes("1234")).value();
  const Secret one = pin_auth_value(pin, some_checkpoint.id).value();
  const Secret other = pin_auth_value(pin, CheckpointId{9}).value();
  EXPECT_EQ(one.size(), 32U);
  EXPECT_FALSE(equal_constant_time(one.view(), other.view()));
  // The last byte is never 0, which a TPM would strip.
  for (std::uint8_t i = 0; i < 255; ++i) {
    EXPECT_NE(pin_auth_value(pin, CheckpointId{i}).value().view().back(), 0);
  }
}

TEST_F(PolicyTest, OneOfSeveralIsEnough) {
  const PcrTerm seven = pcrs_now("7");
  const PcrTerm twelve = pcrs_now("12");
  const SlotBody slot = seal({{AnyTerm{{{{seven}}, {{twelve, PinTerm{}}}}}}}, "1234");
  EXPECT_EQ(opens(slot), "");  // without the PIN
  EXPECT_EQ(commands(), 9U);   // PCR_Read, and a session that knows nothing of the PIN
  const SlotBody pin_first = seal({{AnyTerm{{{{twelve, PinTerm{}}}, {{seven}}}}}}, "1234");
  EXPECT_EQ(opens(pin_first), "");  // nor is it asked for when its way stands first
  own.extend(7);
  EXPECT_EQ(opens(slot, {{}, "1234", nullptr}), "");
  expect_refused(slot, {{}, "4321", nullptr}, Code::policy, "PIN is wrong");
  own.extend(12);
  expect_refused(slot, {{}, "1234", nullptr}, Code::policy, "differs");
}

// docs/format.md, "Which slot opens": whoever made the file may have put many there.
TEST_F(PolicyTest, SixtyFourSlotsAreTriedInARun) {
  const SlotBody elsewhere = seal({{pcrs_now("7")}});
  own.extend(7);
  const SlotBody right = seal({{pcrs_now("7")}});
  Tpm2Identity us(*tpm, identity.storage_parent.name());
  for (int i = 0; i < 63; ++i) {
    ASSERT_EQ(us.unwrap(elsewhere, some_checkpoint).error().code, Code::policy) << i;
  }
  EXPECT_TRUE(us.unwrap(right, some_checkpoint).ok());
  tpm->connection().forget_commands();
  EXPECT_EQ(us.unwrap(right, some_checkpoint).error().code, Code::failed);
  EXPECT_EQ(commands(), 0U);
}

TEST_F(PolicyTest, ACappedPcrOpensOnceABoot) {
  const SlotBody slot = seal({{pcrs_now("7,12")}});
  const SlotBody other = seal({{pcrs_now("7")}});
  Help help;
  help.cap_pcr = 12;
  EXPECT_EQ(opens(slot, help), "");
  expect_refused(slot, {}, Code::policy, "PCR 12 (kernel command line) differs");
  EXPECT_EQ(opens(other), "");
  // What does not bind it is not opened at all, nor what has a way around it.
  expect_refused(other, help, Code::usage, "PCR 12");
  EXPECT_EQ(commands(), 0U);
  const PcrTerm twelve = pcrs_now("12");
  expect_refused(seal({{AnyTerm{{{{twelve}}, {{pcrs_now("7")}}}}}}), help, Code::usage, "PCR 12");
  // By an approval of that PCR.
  help.approvals = {approve(statement_now("7,12"))};
  const SlotBody approved = seal(fleet_policy());
  EXPECT_EQ(opens(approved, help), "");
  expect_refused(approved, help, Code::policy, "PCR 12");
  help.approvals = {approve(statement_now("7"))};
  expect_refused(approved, help, Code::usage, "PCR 12");
}

// A TPM that releases keys, and extends nothing.
class Uncapped : public Tpm {
 public:
  explicit Uncapped(Tpm& tpm) : tpm_(tpm) {}
  Result<Secret> unseal(const SealedObject& object, const PolicyRun& run) override {
    return tpm_.unseal(object, run);
  }
  Result<EcdsaSignature> sign(const Digest& digest) override { return tpm_.sign(digest); }
  Result<PcrValues> read_pcrs(const PcrSelection& selection) override {
    return tpm_.read_pcrs(selection);
  }
  Status cap(unsigned /*pcr*/) override { return Error{Code::unavailable, "It is gone.", 0}; }

 private:
  Tpm& tpm_;
};

TEST_F(PolicyTest, WithoutItsCapNothingIsUsed) {
  const SlotBody slot = seal({{pcrs_now("12")}});
  Uncapped uncapped(*tpm);
  ReleaseHelp help;
  bool told = false;
  help.released = [&told](const PcrState&) { told = true; };
  const auto with = [&](std::optional<unsigned> cap) {
    help.cap_pcr = cap;
    Tpm2Identity out(uncapped, identity.storage_parent.name(), help);
    EXPECT_TRUE(out.unwrap(slot, some_checkpoint).ok());
    return out.before_use();
  };
  const Status out = with(12);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::unavailable);
  EXPECT_TRUE(with(std::nullopt).ok());
  EXPECT_TRUE(told);
}

// docs/state.md, "tpm/opened/".
TEST_F(PolicyTest, ItTellsInWhichStateTheKeyWasReleased) {
  std::optional<PcrState> told;
  const auto opened = [&](const SlotBody& slot, const std::vector<Approval>& approvals = {}) {
    told.reset();
    ReleaseHelp help;
    help.approvals = [&] { return ApprovalsAtHand{approvals, {}}; };
    help.released = [&](const PcrState& state) { told = state; };
    return Tpm2Identity(*tpm, identity.storage_parent.name(), help)
        .unwrap(slot, some_checkpoint)
        .ok();
  };
  own.extend(7);
  const PcrValues now = pcrs_now("4,7,12").pcrs;
  EXPECT_TRUE(opened(seal({{pcrs_now("4"), pcrs_now("7")}})));
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->pcrs, (std::map<unsigned, Digest>{{4, now.values[0]}, {7, now.values[1]}}));
  // Of the approval that served, and of the way that was taken.
  const Approval approval = approve(statement_now("7,12"));
  own.extend(4);
  EXPECT_TRUE(opened(seal(fleet_policy()), {approve(statement_now("4")), approval}));
  EXPECT_EQ(told->pcrs.size(), 1U);
  EXPECT_TRUE(opened(seal(fleet_policy()), {approval}));
  EXPECT_EQ(told->pcrs, (std::map<unsigned, Digest>{{7, now.values[1]}, {12, now.values[2]}}));
  const SlotBody either = seal({{AnyTerm{{{{pcrs_now("12")}}, {{pcrs_now("7")}}}}}});
  own.extend(12);
  EXPECT_TRUE(opened(either));
  EXPECT_EQ(told->pcrs, (std::map<unsigned, Digest>{{7, now.values[1]}}));
  // Nothing of what is refused, and of no PCR.
  own.extend(7);
  EXPECT_FALSE(opened(either));
  EXPECT_FALSE(told.has_value());
  EXPECT_TRUE(opened(seal({})));
  EXPECT_FALSE(told.has_value());
}

TEST_F(PolicyTest, AnEmptyPolicyOpensInAnyState) {
  const SlotBody slot = seal({});
  own.extend(7);
  EXPECT_EQ(opens(slot), "");
}

TEST_F(PolicyTest, WhatIsForMigrationAloneDoesNotOpen) {
  const SlotBody slot = seal({{approvals("fleet", ApprovalPurpose::migrate)}});
  expect_refused(slot, {{approve(statement_now())}, "", nullptr}, Code::policy, "migration");
}

TEST_F(PolicyTest, EveryChangedByteOfASlotIsFoundOut) {
  const SlotBody good = seal({{approvals(), epoch(), PinTerm{}}}, "1234");
  const Approval approval = approve(statement_now());
  constexpr std::size_t form = 66;  // of the policy: another one is not known
  for (std::size_t at = form; at < good.bytes.size(); at += 3) {
    SlotBody bad = good;
    bad.bytes[at] ^= 1;
    const Result<Secret> out = open(bad, {{approval}, "1234", nullptr});
    ASSERT_FALSE(out.ok()) << at;
    EXPECT_EQ(out.error().code, at == form ? Code::no_slot : Code::integrity)
        << at << out.error().message;
  }
}

}  // namespace
}  // namespace ckptseal
