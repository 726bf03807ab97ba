// SPDX-License-Identifier: Apache-2.0
//
// Online approval on a real software TPM: a slot opens for an answer to this one try, and what the
// software would let through the TPM refuses by itself. docs/policies.md, "Online approval".
#include <gtest/gtest.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include "keymgr/tpm2/esys_internal.h"
#include "online_fixture.h"

namespace ckptseal {
namespace {

using test::OnlineTest;
using test::some;

// What the TPM 2.0 answers (Part 3, "TPM2_PolicySigned").
constexpr std::uint32_t bad_signature = TPM2_RC_SIGNATURE + TPM2_RC_P + TPM2_RC_5;
constexpr std::uint32_t not_this_nonce = 0x1cf;
constexpr std::uint32_t expired_session = 0x9a3;

TEST_F(OnlineTest, EachOpeningIsAskedForAndItsCommandsAreCounted) {
  const SlotBody slot = seal({{online()}});
  expect_open(open(slot, authority_answers()));
  const std::vector<std::uint32_t> commands = {
      TPM2_CC_Import,       TPM2_CC_Load,         TPM2_CC_StartAuthSession, TPM2_CC_LoadExternal,
      TPM2_CC_PolicySigned, TPM2_CC_FlushContext, TPM2_CC_Unseal,           TPM2_CC_FlushContext};
  EXPECT_EQ(tpm->connection().commands(), commands);
  expect_open(open(slot, authority_answers()));
  EXPECT_EQ(asked, 2);
}

TEST_F(OnlineTest, WithEverythingElse) {
  const EpochTerm epoch{identity.epoch_index, identity.epoch};
  const Policy policy{{pcrs_now("7"), epoch, online(), PinTerm{}}};
  const SlotBody slot = seal(policy, some, "1234");
  expect_open(open(slot, authority_answers(), "1234"));
  expect_refused(open(slot, authority_answers(), "4321"), Code::policy, "PIN is wrong");
  EXPECT_EQ(asked, 2);
  TpmConnection connection = own.connect();
  ASSERT_TRUE(count_epoch(connection, identity.epoch_index).ok());
  expect_refused(open(slot, authority_answers(), "1234"), Code::revoked, "epoch");
  EXPECT_EQ(asked, 2);  // nothing was left to be answered
}

TEST_F(OnlineTest, NobodyIsAskedInVain) {
  const SlotBody literal = seal({{pcrs_now("7"), online()}});
  const SlotBody either = seal({{AnyTerm{{{{online()}}, {{pcrs_now("7")}}}}}});
  expect_open(open(either, authority_answers()));
  EXPECT_EQ(asked, 0);
  expect_open(open(either, nullptr));
  own.extend(7);
  expect_refused(open(literal, authority_answers()), Code::policy, "PCR 7");
  EXPECT_EQ(asked, 0);
  expect_open(open(either, authority_answers()));
  EXPECT_EQ(asked, 1);
  expect_refused(open(either, nullptr), Code::policy, "PCR 7");
}

// A PCR that is capped must end the way that needs an answer, too, whether it can be asked for now
// or later.
TEST_F(OnlineTest, ACapIsNoneWhereAnAnswerLeadsAroundIt) {
  const SlotBody around = seal({{AnyTerm{{{{online()}}, {{pcrs_now("12")}}}}}});
  const SlotBody bound = seal({{pcrs_now("12"), AnyTerm{{{{online()}}, {{pcrs_now("7")}}}}}});
  for (const bool with_approver : {false, true}) {
    cap = 12;
    expect_refused(open(around, with_approver ? authority_answers() : nullptr), Code::usage,
                   "PCR 12");
  }
  EXPECT_EQ(asked, 0);
  expect_open(open(bound, nullptr));
  cap = {};
  expect_refused(open(bound, authority_answers()), Code::policy, "PCR 12");
  EXPECT_EQ(asked, 0);
}

TEST_F(OnlineTest, WithoutAnApproverItSaysWhatToDo) {
  expect_refused(open(seal({{online()}}), nullptr), Code::policy, "--approver");
  EXPECT_TRUE(tpm->connection().commands().empty());
}

TEST_F(OnlineTest, TheApproversFailureIsTheFailure) {
  const SlotBody slot = seal({{online()}});
  for (const Code code : {Code::revoked, Code::unavailable}) {
    expect_refused(open(slot,
                        [&](ByteView) -> Result<Bytes> {
                          return Error{code, "Not now.", 0};
                        }),
                   code, "Not now.");
    EXPECT_EQ(own.loaded(), 0U);
  }
}

TEST_F(OnlineTest, AnswersThatAreNoneAreRefusedBeforeTheTpmIsShownThem) {
  const SlotBody slot = seal({{online()}});
  const auto with = [&](const std::function<std::string(const OnlineRequest&)>& answer) {
    return open(slot, [&](ByteView pem) -> Result<Bytes> {
      const std::string text = answer(OnlineRequest::parse(pem, "It").value());
      return Bytes(text.begin(), text.end());
    });
  };
  expect_refused(with([](const auto&) { return ""; }), Code::integrity, "approver");
  expect_refused(with([](const auto&) { return "no"; }), Code::integrity, "approver");
  expect_refused(with([](const auto&) { return std::string(4097, 'x'); }), Code::integrity, "4096");
  expect_refused(with([](const OnlineRequest& request) { return request.pem().value(); }),
                 Code::integrity, "approver");
  std::string first;
  expect_open(
      with([&](const OnlineRequest& request) { return first = sign(request).pem().value(); }));
  expect_refused(with([&](const auto&) { return first; }), Code::revoked, "another request");
  const test::SoftwareKey other;
  expect_refused(
      with([&](const OnlineRequest& request) { return sign_with(other, request).pem().value(); }),
      Code::integrity, "not signed by the key");
  const std::vector<std::uint32_t>& commands = tpm->connection().commands();
  EXPECT_EQ(std::count(commands.begin(), commands.end(), TPM2_CC_PolicySigned), 0);
}

TEST_F(OnlineTest, TheTpmTakesAnAnswerOnce) {
  const SlotBody slot = seal({{online()}});
  std::optional<OnlineAnswer> kept;
  ASSERT_TRUE(unseal(slot, [&](const OnlineRequest& request) -> Result<OnlineAnswer> {
                return *(kept = sign(request));
              }).ok());
  expect_tpm_refuses(
      slot, [&](const OnlineRequest&) -> Result<OnlineAnswer> { return *kept; }, bad_signature,
      Code::integrity);
}

TEST_F(OnlineTest, TheTpmTakesNoAnswerForSomethingElse) {
  const SlotBody slot = seal({{online()}});
  const auto instead = [&](const std::function<void(OnlineRequest&)>& change) {
    return [this, change](const OnlineRequest& request) -> Result<OnlineAnswer> {
      OnlineRequest other = request;
      change(other);
      return sign(other);
    };
  };
  ASSERT_TRUE(unseal(slot, instead([](OnlineRequest&) {})).ok());
  const std::vector<std::function<void(OnlineRequest&)>> changes = {
      [](OnlineRequest& r) { r.nonce[0] ^= 1; },
      [](OnlineRequest& r) { r.object[5] ^= 1; },
      [](OnlineRequest& r) { r.checkpoint.id[0] ^= 1; },
      [](OnlineRequest& r) { r.checkpoint.limits.restores = 4; },
      [](OnlineRequest& r) { r.checkpoint.limits.restores = 0; },
      [](OnlineRequest& r) { r.checkpoint.limits.not_after = 0; },
  };
  for (const auto& change : changes) {
    expect_tpm_refuses(slot, instead(change), bad_signature, Code::integrity);
  }
  const test::SoftwareKey other;
  expect_tpm_refuses(
      slot,
      [&](const OnlineRequest& request) -> Result<OnlineAnswer> {
        return sign_with(other, request);
      },
      bad_signature, Code::integrity);
  // It says 300 s, and was signed for 600.
  expect_tpm_refuses(
      slot,
      [&](const OnlineRequest& request) -> Result<OnlineAnswer> {
        OnlineAnswer answer = sign(request, 600);
        answer.expiration = 300;
        return answer;
      },
      bad_signature, Code::integrity);
}

// Who is in the possession of the host and lies about the checkpoint gets an answer, and with it
// another policy than the object's.
TEST_F(OnlineTest, TheTpmKnowsTheLimitsOfTheObject) {
  const SlotBody slot = seal({{online()}});
  const SealedObject object = Tpm2Slot::parse(slot.bytes, some).value().object;
  for (const Checkpoint& claimed :
       {Checkpoint{some.id, {}, false, some.origin},
        Checkpoint{some.id, {1000, some.limits.not_after}, false, some.origin},
        Checkpoint{{9}, some.limits, false, some.origin}, Checkpoint{some.id, some.limits}}) {
    EXPECT_FALSE(Tpm2Slot::parse(slot.bytes, claimed).ok());
    PolicyRun run(policy_paths({{online()}}, claimed).front());
    run.ask = [&](const OnlineRequest& request) -> Result<OnlineAnswer> { return sign(request); };
    const Result<Secret> out = tpm->unseal(object, run);
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().cause, 0x99dU) << std::hex << out.error().cause;
  }
}

// An answer for one object in a session that then unseals another of the same policy.
TEST_F(OnlineTest, TheTpmTakesNoAnswerForAnotherObject) {
  const SlotBody slot = seal({{online()}});
  const SlotBody other = seal({{online()}});
  const TpmName name = name_of(Tpm2Slot::parse(other.bytes, some).value().object);
  ASSERT_NE(name, name_of(Tpm2Slot::parse(slot.bytes, some).value().object));
  expect_tpm_refuses(
      slot,
      [&](const OnlineRequest& request) -> Result<OnlineAnswer> {
        OnlineRequest moved = request;
        moved.object = name;
        return sign(moved);
      },
      bad_signature, Code::integrity);
}

TEST_F(OnlineTest, AnAnswerExpires) {
  const SlotBody slot = seal({{online(), PinTerm{}}}, some, "1234");
  // Too late already when the TPM is shown it.
  expect_refused(open(
                     slot,
                     [&](ByteView pem) -> Result<Bytes> {
                       const auto answer = authority_answers(1)(pem);
                       std::this_thread::sleep_for(std::chrono::milliseconds(2100));
                       return answer;
                     },
                     "1234"),
                 Code::revoked, "has expired");
  expect_open(open(slot, authority_answers(60), "1234"));
  // Between that and the release: here a second one takes its time.
  const OnlineStep step{authority.point(), some};
  const PolicyPath path{step, step};
  const SealedObject object =
      seal_to_parent(identity.storage_parent, path_digest(path), data_key).value();
  PolicyRun run(path);
  int times = 0;
  run.ask = [&](const OnlineRequest& request) -> Result<OnlineAnswer> {
    if (++times == 1) return sign(request, 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(2100));
    return sign(request);
  };
  const Result<Secret> out = tpm->unseal(object, run);
  expect_refused(out, Code::revoked, "has expired");
  EXPECT_EQ(out.error().cause, expired_session);
}

TEST_F(OnlineTest, ANonceIsOfOneSession) {
  OnlineRequest request;
  request.key = authority.point();
  request.object = {0x00, 0x0b};
  request.nonce = {1, 2, 3};
  EXPECT_EQ(show_raw(request, request.nonce, sign(request)), not_this_nonce);
}

// What an authority that is not ours could be made to sign: no nonce, no end.
TEST_F(OnlineTest, AnAnswerThatHoldsForEverIsRefused) {
  const SlotBody slot = seal({{online()}});
  const auto for_ever = [&](const OnlineRequest& request) -> Result<OnlineAnswer> {
    const Digest hash = Sha256::of(ByteWriter()
                                       .u32(0)
                                       .bytes(unseal_command(request.object))
                                       .bytes(online_reference(request.checkpoint))
                                       .view());
    return OnlineAnswer{request.fingerprint(), 0, authority.sign(hash)};
  };
  // A TPM by itself takes it in any session.
  OnlineRequest any;
  any.key = authority.point();
  any.checkpoint = some;
  any.object = name_of(Tpm2Slot::parse(slot.bytes, some).value().object);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(show_raw(any, {}, for_ever(any).value()), TPM2_RC_SUCCESS);
  }
  // We always give the nonce, and then the signature is of something else.
  expect_tpm_refuses(slot, for_ever, bad_signature, Code::integrity);
  // It has no form in which it could be handed to us.
  EXPECT_FALSE(for_ever(any).value().pem().ok());
  expect_refused(open(slot,
                      [&](ByteView pem) -> Result<Bytes> {
                        OnlineAnswer answer =
                            for_ever(OnlineRequest::parse(pem, "It").value()).value();
                        answer.expiration = 3600;
                        const std::string text = answer.pem().value();
                        return Bytes(text.begin(), text.end());
                      }),
                 Code::integrity, "not signed by the key");
}

}  // namespace
}  // namespace ckptseal
