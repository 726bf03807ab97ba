// SPDX-License-Identifier: Apache-2.0
//
// TPM2_PolicyPCR, PolicyAuthorize, PolicyNV, PolicyAuthValue, PolicySigned and PolicyOR.
#include "keymgr/tpm2/policy_session.h"

#include <tss2/tss2_mu.h>

#include <algorithm>
#include <variant>

namespace ckptseal {
namespace {

template <typename Sized>
void fill(ByteView in, Sized& out, BYTE* buffer) {
  std::copy(in.begin(), in.end(), buffer);
  out.size = static_cast<UINT16>(in.size());
}

TPM2B_DIGEST tpm_digest(const Digest& digest) {
  TPM2B_DIGEST out{};
  fill(digest, out, out.buffer);
  return out;
}

TPM2B_PUBLIC tpm_public(const EcPoint& key) {
  const Bytes area = authority_public_area(key);
  TPM2B_PUBLIC out{};
  std::size_t used = 0;
  Tss2_MU_TPMT_PUBLIC_Unmarshal(area.data(), area.size(), &used, &out.publicArea);
  return out;
}

TPMT_SIGNATURE tpm_signature(const EcdsaSignature& signature) {
  TPMT_SIGNATURE out{};
  out.sigAlg = TPM2_ALG_ECDSA;
  TPMS_SIGNATURE_ECDSA& ecdsa = out.signature.ecdsa;
  ecdsa.hash = TPM2_ALG_SHA256;
  const ByteView both(signature);
  fill(both.first(32), ecdsa.signatureR, ecdsa.signatureR.buffer);
  fill(both.subspan(32), ecdsa.signatureS, ecdsa.signatureS.buffer);
  return out;
}

// In the owner hierarchy what the TPM says of its signatures survives a reboot.
Result<EsysHandle> load_public(const EsysContext& context, const EcPoint& key, ESYS_TR hierarchy,
                               TpmOperation operation) {
  const TPM2B_PUBLIC area = tpm_public(key);
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.run(operation, [&] {
    return Esys_LoadExternal(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr,
                             &area, hierarchy, &raw);
  }));
  return EsysHandle::flushed(context, raw);
}

Result<Bytes> verify_approval(const EsysContext& context, const Approval& approval) {
  CKPTSEAL_ASSIGN(const EsysHandle key, load_public(context, approval.statement().term.key,
                                                    ESYS_TR_RH_OWNER, TpmOperation::verify_ticket));
  const TPM2B_DIGEST hash = tpm_digest(approval.release_hash());
  const TPMT_SIGNATURE signature = tpm_signature(approval.release_signature());
  EsysPtr<TPMT_TK_VERIFIED> ticket;
  CKPTSEAL_TRY(context.run(TpmOperation::verify_ticket, [&] {
    return Esys_VerifySignature(context.get(), key.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                &hash, &signature, into(ticket));
  }));
  const ByteView digest(ticket->digest.buffer,
                        std::min<std::size_t>(ticket->digest.size, sizeof ticket->digest.buffer));
  return Bytes(digest.begin(), digest.end());
}

Status show(const EsysContext& context, const EsysHandle& session, const PcrSelection& selection) {
  const TPM2B_DIGEST whatever_they_are{};
  const TPML_PCR_SELECTION pcrs = to_tpm(selection.mask());
  return context.run(TpmOperation::policy_pcr, [&] {
    return Esys_PolicyPCR(context.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                          &whatever_they_are, &pcrs);
  });
}

// The NV index as ESYS would know it after asking the TPM, without asking: its public area is ours
// to say, and the TPM uses its own. What Esys_TR_Serialize of tpm2-tss 3.2 to 4.1 gives.
Result<EsysHandle> counter_handle(const EsysContext& context, std::uint32_t index) {
  constexpr std::uint32_t is_nv = 2;
  const TpmName name = epoch_counter_name(index);
  const Bytes area = epoch_counter_area(index);
  ByteWriter blob;
  blob.u32(index).u16(static_cast<std::uint16_t>(name.size())).bytes(name).u32(is_nv);
  blob.u16(static_cast<std::uint16_t>(area.size())).bytes(area);
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.check(
      Esys_TR_Deserialize(context.get(), blob.view().data(), blob.view().size(), &raw),
      TpmOperation::policy_nv));
  return EsysHandle::persistent(context, raw);
}

Status show(const EsysContext& context, const EsysHandle& session, const EpochTerm& epoch) {
  CKPTSEAL_ASSIGN(const EsysHandle counter, counter_handle(context, epoch.index));
  TPM2B_OPERAND operand{};
  fill(ByteWriter().u64(epoch.at_most).view(), operand, operand.buffer);
  return context.run(TpmOperation::policy_nv, [&] {
    return Esys_PolicyNV(context.get(), counter.get(), counter.get(), session.get(),
                         ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &operand, 0,
                         TPM2_EO_UNSIGNED_LE);
  });
}

// The session's own nonce, without which an answer would serve for ever.
Result<Digest> nonce_of(const EsysContext& context, const EsysHandle& session) {
  EsysPtr<TPM2B_NONCE> nonce;
  CKPTSEAL_TRY(context.check(Esys_TRSess_GetNonceTPM(context.get(), session.get(), into(nonce)),
                             TpmOperation::policy_signed));
  Digest out{};
  if (nonce->size != out.size()) {
    return Error{Code::unavailable,
                 "The TPM began a session with a nonce of a wrong length: check what --tpm names.",
                 0};
  }
  std::copy_n(nonce->buffer, out.size(), out.begin());
  return out;
}

Status show(const EsysContext& context, const EsysHandle& session, const OnlineRequest& request,
            const OnlineAnswer& answer) {
  CKPTSEAL_ASSIGN(const EsysHandle key,
                  load_public(context, request.key, ESYS_TR_RH_NULL, TpmOperation::policy_signed));
  const TPM2B_NONCE nonce = tpm_digest(request.nonce);
  const TPM2B_DIGEST command = tpm_digest(unseal_command(request.object));
  const TPM2B_NONCE reference = tpm_digest(online_reference(request.checkpoint));
  const TPMT_SIGNATURE signature = tpm_signature(answer.signature);
  EsysPtr<TPM2B_TIMEOUT> timeout;
  EsysPtr<TPMT_TK_AUTH> ticket;
  return context.run(TpmOperation::policy_signed, [&] {
    return Esys_PolicySigned(context.get(), key.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                             ESYS_TR_NONE, &nonce, &command, &reference,
                             static_cast<INT32>(answer.expiration), &signature, into(timeout),
                             into(ticket));
  });
}

struct Shower {
  const EsysContext& context;
  const EsysHandle& session;
  const PolicyRun& run;
  const Bytes& ticket;
  const TpmName& object;

  Status operator()(const PcrTerm& term) const {
    return show(context, session, term.pcrs.selection);
  }
  Status operator()(const EpochTerm& term) const { return show(context, session, term); }
  // First the state that was approved, then that it was.
  Status operator()(const ApprovalTerm& term) const {
    if (run.approval == nullptr || run.approval->statement().term != term) {
      return Error{Code::failed, "A policy was tried without its approval: report this bug.", 0};
    }
    const ApprovalStatement& statement = run.approval->statement();
    CKPTSEAL_TRY(show(context, session, statement.pcrs.selection));
    if (statement.epoch) CKPTSEAL_TRY(show(context, session, *statement.epoch));
    const TPM2B_DIGEST approved = tpm_digest(run.approval->approved());
    TPM2B_NONCE reference{};
    fill(as_bytes(approval_reference(term.purpose, term.domain)), reference, reference.buffer);
    TPM2B_NAME key{};
    fill(authority_name(term.key), key, key.name);
    TPMT_TK_VERIFIED verified{};
    verified.tag = TPM2_ST_VERIFIED;
    verified.hierarchy = TPM2_RH_OWNER;
    if (ticket.size() > sizeof verified.digest.buffer) return ticket_refused();
    fill(ticket, verified.digest, verified.digest.buffer);
    return context.run(TpmOperation::policy_authorize, [&] {
      return Esys_PolicyAuthorize(context.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                                  ESYS_TR_NONE, &approved, &reference, &key, &verified);
    });
  }
  Status operator()(const PinTerm& /*term*/) const {
    return context.run(TpmOperation::policy_pin, [&] {
      return Esys_PolicyAuthValue(context.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                                  ESYS_TR_NONE);
    });
  }
  Status operator()(const OnlineStep& step) const {
    if (!run.ask) {
      return Error{Code::failed, "A policy was tried with nobody to ask: report this bug.", 0};
    }
    OnlineRequest request;
    request.key = step.key;
    request.checkpoint = step.checkpoint;
    request.object = object;
    CKPTSEAL_ASSIGN(request.nonce, nonce_of(context, session));
    CKPTSEAL_ASSIGN(const OnlineAnswer answer, run.ask(request));
    return show(context, session, request, answer);
  }
  Status operator()(const OrStep& step) const {
    TPML_DIGEST branches{};
    for (const Digest& branch : step.branches) {
      if (branches.count < 8) branches.digests[branches.count++] = tpm_digest(branch);
    }
    return context.run(TpmOperation::policy_or, [&] {
      return Esys_PolicyOR(context.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                           &branches);
    });
  }

  static Error ticket_refused() {
    return tpm_error(TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_4, TpmOperation::policy_authorize);
  }
};

}  // namespace

Result<Bytes> approval_ticket(const EsysContext& context, const PolicyRun& run) {
  if (run.approval == nullptr) return Bytes();
  if (!run.ticket.empty()) return run.ticket;
  CKPTSEAL_ASSIGN(Bytes ticket, verify_approval(context, *run.approval));
  if (run.keep_ticket) run.keep_ticket(ticket);
  return ticket;
}

Status show_policy(const EsysContext& context, const EsysHandle& session, const PolicyRun& run,
                   const Bytes& ticket, const TpmName& object) {
  for (const PolicyStep& step : run.path) {
    CKPTSEAL_TRY(std::visit(Shower{context, session, run, ticket, object}, step));
  }
  return {};
}

}  // namespace ckptseal
