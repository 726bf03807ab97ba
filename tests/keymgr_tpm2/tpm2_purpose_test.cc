// SPDX-License-Identifier: Apache-2.0
//
// What was approved for restoring does not move a sealed key to another TPM, and what was approved
// for the move does not open it: shown by the commands themselves on a real software TPM, with none
// of the checks of ckpt-seal before them. docs/policies.md, "Terms".
#include <gtest/gtest.h>
#include <tss2/tss2_mu.h>

#include <algorithm>

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/provision.h"
#include "keymgr/tpm2/slot.h"
#include "own_tpm.h"
#include "policies/policy_digest.h"
#include "software_host.h"

namespace ckptseal {
namespace {

using testing::OwnTpm;

constexpr std::uint32_t cc_policy_duplication_select = 0x188;
constexpr TSS2_RC policy_fail = 0x99d;     // TPM_RC_POLICY_FAIL, session 1
constexpr TSS2_RC policy_command = 0x9a4;  // TPM_RC_POLICY_CC, session 1

template <typename Sized>
Sized sized(ByteView bytes, BYTE* (*buffer)(Sized&)) {
  Sized out{};
  out.size = static_cast<UINT16>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer(out));
  return out;
}
TPM2B_DIGEST tpm_digest(ByteView bytes) {
  return sized<TPM2B_DIGEST>(bytes, [](TPM2B_DIGEST& out) { return out.buffer; });
}
TPM2B_NAME tpm_name(const TpmName& name) {
  return sized<TPM2B_NAME>(name, [](TPM2B_NAME& out) { return out.name; });
}
TPM2B_PUBLIC tpm_public(ByteView area) {
  TPM2B_PUBLIC out{};
  std::size_t used = 0;
  EXPECT_EQ(Tss2_MU_TPMT_PUBLIC_Unmarshal(area.data(), area.size(), &used, &out.publicArea), 0U);
  return out;
}

class PurposeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    identity = provision_tpm(connection).value();
    context.emplace(EsysContext::make(connection).value());
    const EpochTerm epoch{identity.epoch_index, identity.epoch};
    const Policy restore{{term(ApprovalPurpose::restore), epoch}};
    const Policy migrate{{term(ApprovalPurpose::migrate), epoch}};
    policy = {{AnyTerm{{restore, migrate}}}};
    Tpm2Recipient recipient(identity.storage_parent, policy, Digest{});
    const SlotBody body = recipient.wrap(random_secret(32).value(), Checkpoint{}).value();
    load(Tpm2Slot::parse(body.bytes, Checkpoint{}).value().object);
    ESYS_TR raw = ESYS_TR_NONE;
    const TPM2B_PUBLIC area = tpm_public(new_parent.marshalled());
    must(Esys_LoadExternal(context->get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &area,
                           ESYS_TR_RH_NULL, &raw));
    target = EsysHandle::flushed(*context, raw);
  }

  ApprovalTerm term(ApprovalPurpose purpose) const { return {purpose, authority.point(), "fleet"}; }
  static void must(TSS2_RC code) { ASSERT_EQ(code, TSS2_RC_SUCCESS) << std::hex << code; }

  void load(const SealedObject& sealed) {
    parent = pinned_key(*context, identity.keys.storage_parent_blob, identity.keys.storage_parent)
                 .value();
    const TPM2B_PUBLIC area = tpm_public(sealed.public_area);
    const auto duplicate =
        sized<TPM2B_PRIVATE>(sealed.duplicate, [](TPM2B_PRIVATE& out) { return out.buffer; });
    const auto seed = sized<TPM2B_ENCRYPTED_SECRET>(
        sealed.seed, [](TPM2B_ENCRYPTED_SECRET& out) { return out.secret; });
    TPMT_SYM_DEF_OBJECT none{};
    none.algorithm = TPM2_ALG_NULL;
    EsysPtr<TPM2B_PRIVATE> imported;
    must(Esys_Import(context->get(), parent.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                     nullptr, &area, &duplicate, &seed, &none, into(imported)));
    ESYS_TR raw = ESYS_TR_NONE;
    must(Esys_Load(context->get(), parent.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                   imported.get(), &area, &raw));
    object = EsysHandle::flushed(*context, raw);
    name = TpmPublic::parse(sealed.public_area).value().name();
  }

  // What the authority signs for either purpose: a state, or a new parent for any object.
  Digest approved_state() {
    PcrValues zeros{PcrSelection::of_mask(1U << 7).value(), {Digest{}}};
    return policy_pcr(zeros.selection, zeros.digest());
  }
  Digest approved_move() {
    return Sha256::of(ByteWriter()
                          .zeros(32)
                          .u32(cc_policy_duplication_select)
                          .bytes(new_parent.name())
                          .u8(0)  // includeObject
                          .view());
  }

  // A session that took the path of `purpose`, by an approval of `approved` signed for that.
  EsysHandle session_for(ApprovalPurpose purpose, const Digest& approved, TSS2_RC& refusal) {
    TPMT_SYM_DEF none{};
    none.algorithm = TPM2_ALG_NULL;
    ESYS_TR raw = ESYS_TR_NONE;
    must(Esys_StartAuthSession(context->get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               ESYS_TR_NONE, ESYS_TR_NONE, nullptr, TPM2_SE_POLICY, &none,
                               TPM2_ALG_SHA256, &raw));
    EsysHandle session = EsysHandle::flushed(*context, raw);
    if (approved == approved_state()) {
      const TPM2B_DIGEST whatever{};
      const TPML_PCR_SELECTION pcrs = to_tpm(1U << 7);
      must(Esys_PolicyPCR(context->get(), raw, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &whatever,
                          &pcrs));
    } else {
      const TPM2B_NAME object_name = tpm_name(name);
      const TPM2B_NAME parent_name = tpm_name(new_parent.name());
      must(Esys_PolicyDuplicationSelect(context->get(), raw, ESYS_TR_NONE, ESYS_TR_NONE,
                                        ESYS_TR_NONE, &object_name, &parent_name, 0));
    }
    authorize(raw, purpose, approved);
    refusal = finish(raw);
    return session;
  }

  void authorize(ESYS_TR session, ApprovalPurpose purpose, const Digest& approved) {
    const TPM2B_PUBLIC area = tpm_public(authority_public_area(authority.point()));
    ESYS_TR raw = ESYS_TR_NONE;
    must(Esys_LoadExternal(context->get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &area,
                           ESYS_TR_RH_OWNER, &raw));
    const EsysHandle key = EsysHandle::flushed(*context, raw);
    const std::string reference = approval_reference(purpose, "fleet");
    const Digest hash = approval_hash(approved, reference);
    const EcdsaSignature signed_hash = authority.sign(hash);
    TPMT_SIGNATURE signature{};
    signature.sigAlg = TPM2_ALG_ECDSA;
    TPMS_SIGNATURE_ECDSA& ecdsa = signature.signature.ecdsa;
    ecdsa.hash = TPM2_ALG_SHA256;
    ecdsa.signatureR.size = ecdsa.signatureS.size = 32;
    std::copy_n(signed_hash.begin(), 32, ecdsa.signatureR.buffer);
    std::copy_n(signed_hash.begin() + 32, 32, ecdsa.signatureS.buffer);
    const TPM2B_DIGEST digest = tpm_digest(hash);
    EsysPtr<TPMT_TK_VERIFIED> ticket;
    must(Esys_VerifySignature(context->get(), key.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              &digest, &signature, into(ticket)));
    const TPM2B_DIGEST policy_approved = tpm_digest(approved);
    const TPM2B_NONCE policy_ref = tpm_digest(as_bytes(reference));
    const TPM2B_NAME key_name = tpm_name(authority_name(authority.point()));
    must(Esys_PolicyAuthorize(context->get(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              &policy_approved, &policy_ref, &key_name, ticket.get()));
  }

  // Epoch, and the choice between the two branches.
  TSS2_RC finish(ESYS_TR session) {
    ESYS_TR counter = ESYS_TR_NONE;
    must(Esys_TR_FromTPMPublic(context->get(), identity.epoch_index, ESYS_TR_NONE, ESYS_TR_NONE,
                               ESYS_TR_NONE, &counter));
    const EsysHandle index = EsysHandle::persistent(*context, counter);
    const Bytes value = ByteWriter().u64(identity.epoch).take();
    const TPM2B_OPERAND operand = tpm_digest(value);
    must(Esys_PolicyNV(context->get(), counter, counter, session, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                       ESYS_TR_NONE, &operand, 0, TPM2_EO_UNSIGNED_LE));
    const PolicyPath path = policy_paths(policy, Checkpoint{}).front();
    TPML_DIGEST branches{};
    for (const Digest& branch : std::get<OrStep>(path.back()).branches) {
      branches.digests[branches.count++] = tpm_digest(branch);
    }
    return Esys_PolicyOR(context->get(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                         &branches);
  }

  TSS2_RC duplicate(const EsysHandle& session) {
    TPMT_SYM_DEF_OBJECT none{};
    none.algorithm = TPM2_ALG_NULL;
    EsysPtr<TPM2B_DATA> key;
    EsysPtr<TPM2B_PRIVATE> moved;
    EsysPtr<TPM2B_ENCRYPTED_SECRET> seed;
    return Esys_Duplicate(context->get(), object.get(), target.get(), session.get(), ESYS_TR_NONE,
                          ESYS_TR_NONE, nullptr, &none, into(key), into(moved), into(seed));
  }
  TSS2_RC unseal(const EsysHandle& session) {
    EsysPtr<TPM2B_SENSITIVE_DATA> data;
    return Esys_Unseal(context->get(), object.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                       into(data));
  }

  OwnTpm own;
  TpmConnection connection = own.connect();
  TpmIdentity identity;
  std::optional<EsysContext> context;
  test::SoftwareKey authority;
  TpmPublic new_parent = test::public_area(
      test::SoftwareKey(), test::own_key | test::restricted | test::decrypt, test::Shape::storage);
  Policy policy;
  EsysHandle parent;
  EsysHandle target;
  EsysHandle object;
  TpmName name{};
};

TEST_F(PurposeTest, ARestoreApprovalOpensAndDoesNotMove) {
  TSS2_RC refusal = 0;
  {
    const EsysHandle session = session_for(ApprovalPurpose::restore, approved_state(), refusal);
    ASSERT_EQ(refusal, TSS2_RC_SUCCESS);
    EXPECT_EQ(duplicate(session), policy_fail);
  }
  const EsysHandle session = session_for(ApprovalPurpose::restore, approved_state(), refusal);
  ASSERT_EQ(refusal, TSS2_RC_SUCCESS);
  EXPECT_EQ(unseal(session), TSS2_RC_SUCCESS);
}

TEST_F(PurposeTest, AMigrateApprovalMovesAndDoesNotOpen) {
  TSS2_RC refusal = 0;
  {
    const EsysHandle session = session_for(ApprovalPurpose::migrate, approved_move(), refusal);
    ASSERT_EQ(refusal, TSS2_RC_SUCCESS);
    EXPECT_EQ(unseal(session), policy_command);
  }
  const EsysHandle session = session_for(ApprovalPurpose::migrate, approved_move(), refusal);
  ASSERT_EQ(refusal, TSS2_RC_SUCCESS);
  EXPECT_EQ(duplicate(session), TSS2_RC_SUCCESS);
}

// A state that was approved by mistake for moving, and a move that was approved for restoring.
TEST_F(PurposeTest, TheWrongWordBesideTheRightThingServesNeither) {
  TSS2_RC refusal = 0;
  {
    const EsysHandle session = session_for(ApprovalPurpose::migrate, approved_state(), refusal);
    EXPECT_EQ(duplicate(session), policy_fail);
  }
  const EsysHandle session = session_for(ApprovalPurpose::restore, approved_move(), refusal);
  EXPECT_EQ(unseal(session), policy_command);
}

}  // namespace
}  // namespace ckptseal
