// SPDX-License-Identifier: Apache-2.0
//
// The digests that policies/ computes are those of a real software TPM's trial sessions, for every
// construct of docs/policies.md and their combinations.
#include <gtest/gtest.h>
#include <tss2/tss2_mu.h>

#include <algorithm>

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/provision.h"
#include "own_tpm.h"
#include "policies/policy_digest.h"
#include "software_host.h"

namespace ckptseal {
namespace {

// What a trial session of the TPM holds after the commands of a path: it checks nothing.
class TrialSession {
 public:
  explicit TrialSession(const EsysContext& context) : context_(context) {
    TPMT_SYM_DEF none{};
    none.algorithm = TPM2_ALG_NULL;
    ESYS_TR raw = ESYS_TR_NONE;
    must(Esys_StartAuthSession(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               ESYS_TR_NONE, ESYS_TR_NONE, nullptr, TPM2_SE_TRIAL, &none,
                               TPM2_ALG_SHA256, &raw));
    session_ = EsysHandle::flushed(context, raw);
  }

  void operator()(const PcrTerm& term) {
    TPM2B_DIGEST digest = sized(term.pcrs.digest());
    const TPML_PCR_SELECTION selection = to_tpm(term.pcrs.selection.mask());
    must(Esys_PolicyPCR(context_.get(), session_.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                        &digest, &selection));
  }
  // The TPM makes the Name of the key itself.
  void operator()(const ApprovalTerm& term) {
    const EsysHandle loaded = load(term.key, ESYS_TR_RH_OWNER);
    EsysPtr<TPM2B_NAME> name;
    must(Esys_TR_GetName(context_.get(), loaded.get(), into(name)));
    TPM2B_DIGEST approved = sized(Digest{});
    TPM2B_NONCE reference{};
    const std::string text =
        "ckpt-seal/" + std::string(purpose_word(term.purpose)) + "/" + term.domain;
    reference.size = static_cast<UINT16>(text.size());
    std::copy(text.begin(), text.end(), reference.buffer);
    TPMT_TK_VERIFIED ticket{};
    ticket.tag = TPM2_ST_VERIFIED;
    ticket.hierarchy = TPM2_RH_NULL;
    must(Esys_PolicyAuthorize(context_.get(), session_.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                              ESYS_TR_NONE, &approved, &reference, name.get(), &ticket));
  }
  void operator()(const EpochTerm& term) {
    ESYS_TR raw = ESYS_TR_NONE;
    must(Esys_TR_FromTPMPublic(context_.get(), term.index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               &raw));
    const EsysHandle index = EsysHandle::persistent(context_, raw);
    TPM2B_OPERAND operand{};
    const Bytes value = ByteWriter().u64(term.at_most).take();
    operand.size = 8;
    std::copy(value.begin(), value.end(), operand.buffer);
    must(Esys_PolicyNV(context_.get(), index.get(), index.get(), session_.get(), ESYS_TR_PASSWORD,
                       ESYS_TR_NONE, ESYS_TR_NONE, &operand, 0, TPM2_EO_UNSIGNED_LE));
  }
  void operator()(const PinTerm&) {
    must(Esys_PolicyAuthValue(context_.get(), session_.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                              ESYS_TR_NONE));
  }
  // A trial session looks at no signature.
  void operator()(const OnlineStep& step) {
    const EsysHandle loaded = load(step.key, ESYS_TR_RH_NULL);
    const TPM2B_NONCE no_nonce{};
    const TPM2B_DIGEST no_command{};
    const TPM2B_DIGEST reference = sized(Sha256::of(ByteWriter()
                                                        .bytes(as_bytes("ckpt-seal/v1/online"))
                                                        .bytes(step.checkpoint.origin)
                                                        .bytes(step.checkpoint.id)
                                                        .u32(step.checkpoint.limits.restores)
                                                        .u64(step.checkpoint.limits.not_after)
                                                        .view()));
    TPMT_SIGNATURE signature{};
    signature.sigAlg = TPM2_ALG_ECDSA;
    signature.signature.ecdsa.hash = TPM2_ALG_SHA256;
    signature.signature.ecdsa.signatureR.size = 32;
    signature.signature.ecdsa.signatureS.size = 32;
    EsysPtr<TPM2B_TIMEOUT> timeout;
    EsysPtr<TPMT_TK_AUTH> ticket;
    must(Esys_PolicySigned(context_.get(), loaded.get(), session_.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                           ESYS_TR_NONE, &no_nonce, &no_command, &reference, 0, &signature,
                           into(timeout), into(ticket)));
  }
  void operator()(const OrStep& step) {
    TPML_DIGEST branches{};
    for (const Digest& branch : step.branches) branches.digests[branches.count++] = sized(branch);
    must(Esys_PolicyOR(context_.get(), session_.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                       &branches));
  }
  std::string digest() {
    EsysPtr<TPM2B_DIGEST> out;
    must(Esys_PolicyGetDigest(context_.get(), session_.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                              ESYS_TR_NONE, into(out)));
    return to_hex({out->buffer, out->size});
  }

 private:
  EsysHandle load(const EcPoint& point, ESYS_TR hierarchy) {
    const Bytes area = authority_public_area(point);
    TPM2B_PUBLIC key{};
    std::size_t used = 0;
    must(Tss2_MU_TPMT_PUBLIC_Unmarshal(area.data(), area.size(), &used, &key.publicArea));
    EXPECT_EQ(used, area.size());
    ESYS_TR raw = ESYS_TR_NONE;
    must(Esys_LoadExternal(context_.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &key,
                           hierarchy, &raw));
    return EsysHandle::flushed(context_, raw);
  }
  static void must(TSS2_RC code) { ASSERT_EQ(code, TSS2_RC_SUCCESS) << std::hex << code; }
  static TPM2B_DIGEST sized(const Digest& digest) {
    TPM2B_DIGEST out{};
    out.size = static_cast<UINT16>(digest.size());
    std::copy(digest.begin(), digest.end(), out.buffer);
    return out;
  }

  const EsysContext& context_;
  EsysHandle session_;
};

TEST(PolicyDigest, EveryConstructAndCombinationIsTheTpms) {
  const testing::OwnTpm own;
  TpmConnection connection = own.connect();
  const TpmIdentity identity = provision_tpm(connection).value();
  const EpochTerm epoch{identity.epoch_index, identity.epoch};
  const test::SoftwareKey authority;
  const auto approvals = [&](const char* domain,
                             ApprovalPurpose purpose = ApprovalPurpose::restore) {
    return ApprovalTerm{purpose, authority.point(), domain};
  };
  const auto pcrs = [](const char* selection) {
    PcrTerm out{{PcrSelection::parse(selection).value(), {}}};
    out.pcrs.values.resize(out.pcrs.selection.size(), Sha256::of(as_bytes(selection)));
    return out;
  };
  const OnlineTerm online{authority.point()};
  const std::vector<PolicyTerm> behind = {pcrs("7"), epoch, PinTerm{}, online};
  const std::vector<PolicyTerm> first = {pcrs("0,4"), approvals("fleet"),
                                         approvals("b", ApprovalPurpose::migrate)};
  std::vector<Policy> lists;
  // Each first term, or none, with each subset of the others in each order.
  std::vector<int> order = {0, 1, 2, 3};
  do {
    for (std::size_t count = 0; count <= order.size(); ++count) {
      for (std::size_t with = 0; with <= first.size(); ++with) {
        Policy policy;
        if (with < first.size()) policy.terms.push_back(first[with]);
        for (std::size_t i = 0; i < count; ++i) {
          policy.terms.push_back(behind[static_cast<std::size_t>(order[i])]);
        }
        lists.push_back(std::move(policy));
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
  std::vector<Policy> all = lists;
  // One of two, before and behind other terms, and one within one.
  const Policy a{{approvals("fleet"), epoch}};
  const Policy b{{approvals("b")}};
  const Policy c{{pcrs("7")}};
  const Policy d{{pcrs("23")}};
  all.push_back({{AnyTerm{{a, b}}}});
  all.push_back({{AnyTerm{{a, c, b}}, PinTerm{}}});
  all.push_back({{PinTerm{}, AnyTerm{{c, d}}, epoch}});
  all.push_back({{AnyTerm{{c, d}}, AnyTerm{{{{epoch}}, {{PinTerm{}}}}}}});
  all.push_back({{approvals("fleet"), AnyTerm{{c, {{PinTerm{}, AnyTerm{{c, d}}}}}}, epoch}});
  all.push_back(
      {{AnyTerm{{{{online}}, {{pcrs("7"), OnlineTerm{test::SoftwareKey().point()}}}}}, epoch}});
  all.push_back({{approvals("fleet"), AnyTerm{{c, {{PinTerm{}, online}}}}}});
  all.push_back({{online, AnyTerm{{c, d}}}});
  std::vector<Policy> eight;
  for (std::uint64_t i = 0; i < 8; ++i) {
    eight.push_back({{EpochTerm{identity.epoch_index, i}}});
  }
  all.push_back({{AnyTerm{eight}}});

  const EsysContext context = EsysContext::make(connection).value();
  const Checkpoint checkpoints[] = {{{}, {}}, {{1, 2}, {7, 0}}, {{3}, {1, 1'800'000'000}}};
  std::size_t paths = 0;
  for (const Policy& policy : all) {
    ASSERT_TRUE(policy.check().ok()) << policy.check().error().message;
    const Checkpoint& of = checkpoints[paths % 3];
    for (const PolicyPath& path : policy_paths(policy, of)) {
      TrialSession session(context);
      for (const PolicyStep& step : path) std::visit(session, step);
      if (path.empty()) continue;  // PolicyGetDigest of a fresh one: see EmptyPolicy
      EXPECT_EQ(session.digest(), to_hex(policy_digest(policy, of))) << to_hex(policy.serialize());
      ++paths;
    }
  }
  EXPECT_GT(paths, 250U);
}

}  // namespace
}  // namespace ckptseal
