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
#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/provision.h"
#include "keymgr/tpm2/slot.h"
#include "keymgr/tpm2/tpm_identity.h"
#include "own_tpm.h"
#include "policies/policy_digest.h"
#include "software_host.h"

namespace ckptseal {
namespace {

using testing::OwnTpm;

const Checkpoint some{{4, 2}, {3, 1'900'000'000}, false, {7}};

class OnlineTest : public ::testing::Test {
 protected:
  // What stands between request and answer; by default nothing.
  using Asked = std::function<Result<OnlineAnswer>(const OnlineRequest&)>;

  OnlineTest() {
    TpmConnection connection = own.connect();
    identity = provision_tpm(connection).value();
    tpm.emplace(own.connect(), identity.keys);
  }
  OnlineTerm online() const { return {authority.point()}; }
  PcrTerm pcrs_now(const char* selection) {
    return {tpm->read_pcrs(PcrSelection::parse(selection).value()).value()};
  }
  SlotBody seal(const Policy& policy, const Checkpoint& of = some, const char* pin = nullptr) {
    std::shared_ptr<const Secret> secret;
    if (pin != nullptr) {
      secret = std::make_shared<const Secret>(Secret::copy_of(as_bytes(pin)).value());
    }
    return Tpm2Recipient(identity.storage_parent, policy, Digest{1}, secret)
        .wrap(data_key, of)
        .value();
  }
  OnlineAnswer sign(const OnlineRequest& request, std::uint32_t expiration = 300) const {
    return sign_with(authority, request, expiration);
  }
  static OnlineAnswer sign_with(const test::SoftwareKey& key, const OnlineRequest& request,
                                std::uint32_t expiration = 300) {
    return {request.fingerprint(), expiration, key.sign(request.to_sign(expiration))};
  }

  // As ckpt-seal does it, with an approver that answers as `answer` says.
  Result<Secret> open(const SlotBody& slot, std::function<Result<Bytes>(ByteView)> answer,
                      const char* pin = nullptr) {
    ReleaseHelp help;
    help.who = "host-b";
    help.approver = std::move(answer);
    help.cap_pcr = cap;
    if (pin != nullptr) help.pin = [pin] { return Secret::copy_of(as_bytes(pin)); };
    Tpm2Identity us(*tpm, identity.storage_parent.name(), std::move(help));
    tpm->connection().forget_commands();
    Result<std::optional<Secret>> out = us.unwrap(slot, some);
    if (!out.ok()) return std::move(out).error();
    CKPTSEAL_TRY(us.before_use());
    return std::move(*std::move(out).value());
  }
  std::function<Result<Bytes>(ByteView)> authority_answers(std::uint32_t expiration = 300) {
    return [this, expiration](ByteView pem) -> Result<Bytes> {
      ++asked;
      const OnlineRequest request = OnlineRequest::parse(pem, "It").value();
      EXPECT_EQ(request.who, "host-b");
      EXPECT_EQ(request.checkpoint.id, some.id);
      EXPECT_EQ(request.checkpoint.limits, some.limits);
      const std::string answer = sign(request, expiration).pem().value();
      return Bytes(answer.begin(), answer.end());
    };
  }
  void expect_open(const Result<Secret>& out) {
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_TRUE(same_bytes(out.value().view(), data_key.view()));
  }
  static void expect_refused(const Result<Secret>& out, Code code, const char* why) {
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_NE(out.error().message.find(why), std::string::npos) << out.error().message;
  }

  // Without what the software checks: what the TPM says of any answer.
  Result<Secret> unseal(const SlotBody& slot, Asked ask, const Checkpoint& of = some) {
    const Tpm2Slot parsed = Tpm2Slot::parse(slot.bytes, of).value();
    PolicyRun run(policy_paths(parsed.policy, of).front());
    run.ask = std::move(ask);
    return tpm->unseal(parsed.object, run);
  }
  void expect_tpm_refuses(const SlotBody& slot, Asked ask, std::uint32_t cause, Code code) {
    const Result<Secret> out = unseal(slot, std::move(ask));
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().cause, cause) << std::hex << out.error().cause << out.error().message;
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_EQ(own.loaded(), 0U);
  }

  // TPM2_PolicySigned with this nonce in a new session: what tools that are not ours could send.
  TSS2_RC show_raw(const OnlineRequest& request, ByteView nonce, const OnlineAnswer& answer) {
    TpmConnection connection = own.connect();
    const EsysContext context = EsysContext::make(connection).value();
    TPMT_SYM_DEF none{};
    none.algorithm = TPM2_ALG_NULL;
    ESYS_TR raw = ESYS_TR_NONE;
    Esys_StartAuthSession(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                          ESYS_TR_NONE, nullptr, TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, &raw);
    const EsysHandle session = EsysHandle::flushed(context, raw);
    const Bytes area = authority_public_area(request.key);
    TPM2B_PUBLIC key{};
    std::size_t used = 0;
    Tss2_MU_TPMT_PUBLIC_Unmarshal(area.data(), area.size(), &used, &key.publicArea);
    Esys_LoadExternal(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &key,
                      ESYS_TR_RH_NULL, &raw);
    const EsysHandle loaded = EsysHandle::flushed(context, raw);
    const TPM2B_NONCE given = sized(nonce);
    const TPM2B_DIGEST command = sized(unseal_command(request.object));
    const TPM2B_NONCE reference = sized(online_reference(request.checkpoint));
    TPMT_SIGNATURE signature{};
    signature.sigAlg = TPM2_ALG_ECDSA;
    signature.signature.ecdsa.hash = TPM2_ALG_SHA256;
    signature.signature.ecdsa.signatureR.size = 32;
    signature.signature.ecdsa.signatureS.size = 32;
    std::copy_n(answer.signature.begin(), 32, signature.signature.ecdsa.signatureR.buffer);
    std::copy_n(answer.signature.begin() + 32, 32, signature.signature.ecdsa.signatureS.buffer);
    EsysPtr<TPM2B_TIMEOUT> timeout;
    EsysPtr<TPMT_TK_AUTH> ticket;
    return Esys_PolicySigned(context.get(), loaded.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                             ESYS_TR_NONE, &given, &command, &reference,
                             static_cast<INT32>(answer.expiration), &signature, into(timeout),
                             into(ticket));
  }
  static TPM2B_DIGEST sized(ByteView bytes) {
    TPM2B_DIGEST out{};
    out.size = static_cast<UINT16>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), out.buffer);
    return out;
  }

  OwnTpm own;
  TpmIdentity identity;
  std::optional<EsysTpm> tpm;
  test::SoftwareKey authority;
  int asked = 0;
  std::optional<unsigned> cap;
  Secret data_key = random_secret(data_key_size).value();
};

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

// docs/policies.md, "Ways": a PIN first; a wrong one, or none, ends the ways that want it.
TEST_F(OnlineTest, BehindAWrongPinTheApprovalIsAskedFor) {
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

TEST_F(OnlineTest, OfAWrongPinAndARefusedApprovalThePinIsTheAnswer) {
  const SlotBody slot = seal({{AnyTerm{{{{online()}}, {{PinTerm{}}}}}}}, some, "1234");
  const auto refuses = [](ByteView) -> Result<Bytes> { return Error{Code::revoked, "Over.", 0}; };
  expect_refused(open(slot, refuses, "4321"), Code::policy, "PIN is wrong");
  const SlotBody both = seal({{AnyTerm{{{{PinTerm{}, online()}}, {{PinTerm{}}}}}}}, some, "1234");
  expect_refused(open(both, authority_answers(), "4321"), Code::policy, "PIN is wrong");
  EXPECT_EQ(asked, 0);
}

TEST_F(OnlineTest, ARefusalIsNotLostBehindAnotherWay) {
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
