// SPDX-License-Identifier: Apache-2.0
//
// Restoring as docs/format.md, "TPM slot", wants it: TPM2_Import, Load, StartAuthSession, the
// commands of the policy, Unseal, FlushContext. One session authorizes, encrypts and flushes
// itself.
#include "keymgr/tpm2/esys_tpm.h"

#include <fmt/format.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <utility>

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/esys_signature_internal.h"
#include "keymgr/tpm2/policy_session.h"
#include "keymgr/tpm2/tpm_inventory.h"

namespace ckptseal {
namespace {

constexpr int tries_after_pcr_change = 3;

Error damaged_slot() {
  return {Code::integrity,
          "The sealed key of this file is damaged: use an undamaged copy, or another slot.", 0};
}

// The inputs of TPM2_Import as the TSS takes them.
struct ImportInputs {
  TPM2B_PUBLIC public_area{};
  TPM2B_PRIVATE duplicate{};
  TPM2B_ENCRYPTED_SECRET seed{};
};

template <typename Sized>
bool fill(ByteView in, Sized& out, BYTE* buffer, std::size_t capacity) {
  if (in.empty() || in.size() > capacity) return false;
  std::copy(in.begin(), in.end(), buffer);
  out.size = static_cast<UINT16>(in.size());
  return true;
}

Result<ImportInputs> to_inputs(const SealedObject& object) {
  ImportInputs out;
  std::size_t used = 0;
  const TSS2_RC code = Tss2_MU_TPMT_PUBLIC_Unmarshal(
      object.public_area.data(), object.public_area.size(), &used, &out.public_area.publicArea);
  if (code != TSS2_RC_SUCCESS || used != object.public_area.size() ||
      !fill(object.duplicate, out.duplicate, out.duplicate.buffer, sizeof out.duplicate.buffer) ||
      !fill(object.seed, out.seed, out.seed.secret, sizeof out.seed.secret)) {
    return damaged_slot();
  }
  return out;
}

Result<EsysHandle> import_and_load(const EsysContext& context, const EsysHandle& parent,
                                   const ImportInputs& in) {
  TPMT_SYM_DEF_OBJECT no_inner_wrap{};
  no_inner_wrap.algorithm = TPM2_ALG_NULL;
  EsysPtr<TPM2B_PRIVATE> imported;
  CKPTSEAL_TRY(context.run(TpmOperation::import, [&] {
    return Esys_Import(context.get(), parent.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                       nullptr, &in.public_area, &in.duplicate, &in.seed, &no_inner_wrap,
                       into(imported));
  }));
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.run(TpmOperation::load, [&] {
    return Esys_Load(context.get(), parent.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                     imported.get(), &in.public_area, &raw);
  }));
  return EsysHandle::flushed(context, raw);
}

// The authValue of an object as ESYS keeps it; overwritten there at the end, since ESYS frees it as
// it is.
class ObjectAuth {
 public:
  ObjectAuth(const EsysContext& context, const EsysHandle& object)
      : context_(context), object_(object) {}
  ObjectAuth(const ObjectAuth&) = delete;
  ObjectAuth& operator=(const ObjectAuth&) = delete;
  ~ObjectAuth() {
    const TPM2B_AUTH nothing{};
    Esys_TR_SetAuth(context_.get(), object_.get(), &nothing);
    context_.wipe_buffers();
  }

  Status set(const Secret& auth) {
    TPM2B_AUTH value{};
    if (!fill(auth.view(), value, value.buffer, sizeof value.buffer)) return damaged_slot();
    const TSS2_RC code = Esys_TR_SetAuth(context_.get(), object_.get(), &value);
    wipe({reinterpret_cast<std::uint8_t*>(&value), sizeof value});
    return context_.check(code, TpmOperation::unseal);
  }

 private:
  const EsysContext& context_;
  const EsysHandle& object_;
};

// A session that authorizes an object encrypts with the object's authValue, too (TPM 2.0 Part 1,
// "Session-Based Encryption", sessionValue), whether its policy asks for that or not. Who does not
// know the PIN needs another session for that.
Result<EsysHandle> encrypt_by_another(const EsysContext& context, const EsysHandle& parent,
                                      const EsysHandle& session) {
  CKPTSEAL_TRY(context.check(Esys_TRSess_SetAttributes(context.get(), session.get(), 0,
                                                       TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT),
                             TpmOperation::start_session));
  return start_session(context, parent, TPM2_SE_HMAC);
}

// Takes the secret out of ESYS's memory and leaves none there.
Result<Secret> take(const EsysContext& context, EsysPtr<TPM2B_SENSITIVE_DATA> data) {
  const std::size_t size = std::min<std::size_t>(data->size, sizeof data->buffer);
  Result<Secret> secret =
      size == 0 ? Result<Secret>(damaged_slot()) : Secret::copy_of({data->buffer, size});
  wipe({reinterpret_cast<std::uint8_t*>(data.get()), sizeof *data});
  data.reset();
  context.wipe_buffers();
  return secret;
}

// A wrong PIN and a locked TPM, with what its owner can count on. As it was if the TPM does not
// say.
Error with_lockout(TpmConnection& connection, Error error) {
  if (!is_wrong_pin(error) && error.code != Code::locked) return error;
  const Result<EsysContext> context = EsysContext::make(connection);
  if (!context.ok()) return error;
  const Result<TpmLockout> lockout = read_lockout(context.value());
  if (!lockout.ok()) return error;
  const auto& [failures, most, seconds] = lockout.value();
  const std::string time = seconds == 0 ? "never by itself" : fmt::format("after {} s", seconds);
  if (error.code == Code::locked || failures >= most) {
    error.message = fmt::format(
        "{}: the TPM allows one more try {}, or once its owner has reset the lockout "
        "(tpm2_dictionarylockout -c).",
        error.code == Code::locked ? "The TPM is locked after too many wrong PINs"
                                   : "The PIN is wrong, and that was one too many",
        time);
  } else {
    error.message =
        fmt::format("The PIN is wrong: {} more wrong {} the TPM, which forgets one {}.",
                    most - failures, most - failures == 1 ? "one locks" : "ones lock", time);
  }
  return error;
}

// How far read_selected() has come.
struct PcrProgress {
  std::uint32_t left = 0;
  std::array<Digest, PcrSelection::count> values{};
};

Error unusable_pcrs() {
  return {Code::unavailable,
          "The TPM gives no SHA-256 PCRs: switch its SHA-256 bank on in the firmware (or with "
          "tpm2_pcrallocate), and reboot.",
          0};
}

// TPM 2.0 Part 3, "TPM2_PCR_Read": it answers with the first of the selected, eight at most.
Status take_pcrs(const TPML_PCR_SELECTION& selected, const TPML_DIGEST& digests,
                 PcrProgress& progress) {
  std::uint32_t next = 0;
  for (std::uint32_t i = 0; i < selected.count && i < TPM2_NUM_PCR_BANKS; ++i) {
    const TPMS_PCR_SELECTION& bank = selected.pcrSelections[i];
    if (bank.hash != TPM2_ALG_SHA256) continue;
    for (unsigned pcr = 0; pcr < PcrSelection::count && pcr / 8 < bank.sizeofSelect; ++pcr) {
      if ((bank.pcrSelect[pcr / 8] >> (pcr % 8) & 1) == 0) continue;
      const std::uint32_t bit = 1U << pcr;
      Digest& value = progress.values[pcr];
      if ((progress.left & bit) == 0 || next >= digests.count || next >= 8 ||
          digests.digests[next].size != value.size()) {
        return unusable_pcrs();
      }
      std::copy_n(digests.digests[next].buffer, value.size(), value.begin());
      progress.left &= ~bit;
      ++next;
    }
  }
  if (next == 0) return unusable_pcrs();
  return {};
}

// nullopt: a PCR changed between two reads, so the values are not of one moment.
Result<std::optional<PcrProgress>> read_selected(const EsysContext& context, std::uint32_t mask) {
  PcrProgress progress;
  progress.left = mask;
  std::optional<UINT32> first_counter;
  while (progress.left != 0) {
    const TPML_PCR_SELECTION wanted = to_tpm(progress.left);
    UINT32 counter = 0;
    EsysPtr<TPML_PCR_SELECTION> selected;
    EsysPtr<TPML_DIGEST> digests;
    CKPTSEAL_TRY(context.run(TpmOperation::read_pcrs, [&] {
      return Esys_PCR_Read(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &wanted,
                           &counter, into(selected), into(digests));
    }));
    if (first_counter.value_or(counter) != counter) return std::optional<PcrProgress>();
    first_counter = counter;
    CKPTSEAL_TRY(take_pcrs(*selected, *digests, progress));
  }
  return std::optional<PcrProgress>(progress);
}

}  // namespace

EsysTpm::EsysTpm(TpmConnection connection, TpmKeys keys)
    : connection_(std::move(connection)), keys_(std::move(keys)) {}

Result<Secret> EsysTpm::unseal(const SealedObject& object, const PolicyRun& run) {
  PolicyRun next = run;
  // A new ticket serves the later tries, too.
  next.keep_ticket = [&](const Bytes& ticket) {
    next.ticket = ticket;
    if (run.keep_ticket) run.keep_ticket(ticket);
  };
  bool first_ticket = true;
  for (int left = tries_after_pcr_change;;) {
    Result<Secret> secret = unseal_once(object, next);
    if (secret.ok()) return secret;
    if (is_foreign_ticket(secret.error().cause) && !run.ticket.empty() && first_ticket) {
      first_ticket = false;
      next.ticket.clear();
    } else if (!is_pcr_changed(secret.error().cause) || --left == 0) {
      return with_lockout(connection_, std::move(secret).error());
    }
  }
}

Result<Secret> EsysTpm::unseal_once(const SealedObject& object, const PolicyRun& run) {
  CKPTSEAL_ASSIGN(const ImportInputs inputs, to_inputs(object));
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection_));
  CKPTSEAL_ASSIGN(const EsysHandle parent,
                  pinned_key(context, keys_.storage_parent_blob, keys_.storage_parent));
  CKPTSEAL_ASSIGN(const Bytes ticket, approval_ticket(context, run));
  // Declared first, to be flushed last: a stopped swtpm has room in its queue for one flush only,
  // and when it goes on and does the unsealing it lets go of the session by itself.
  EsysHandle session;
  CKPTSEAL_ASSIGN(const EsysHandle loaded, import_and_load(context, parent, inputs));
  CKPTSEAL_ASSIGN(session, start_session(context, parent, TPM2_SE_POLICY));
  CKPTSEAL_TRY(show_policy(context, session, run, ticket, name_of(object)));
  std::optional<ObjectAuth> auth;
  if (run.pin != nullptr) CKPTSEAL_TRY(auth.emplace(context, loaded).set(*run.pin));
  EsysHandle encryption;
  CKPTSEAL_ASSIGN(const ObjectPolicy policy, policy_of(object));
  if (policy.locks && run.pin == nullptr) {
    CKPTSEAL_ASSIGN(encryption, encrypt_by_another(context, parent, session));
  }
  EsysPtr<TPM2B_SENSITIVE_DATA> data;
  CKPTSEAL_TRY(context.run(TpmOperation::unseal, [&] {
    return Esys_Unseal(context.get(), loaded.get(), session.get(),
                       encryption.tpm_handle() == 0 ? ESYS_TR_NONE : encryption.get(), ESYS_TR_NONE,
                       into(data));
  }));
  session.gone();  // CONTINUESESSION was clear
  encryption.gone();
  return take(context, std::move(data));
}

Result<EcdsaSignature> EsysTpm::sign(const Digest& digest) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection_));
  CKPTSEAL_ASSIGN(const EsysHandle key,
                  pinned_key(context, keys_.signing_key_blob, keys_.signing_key));
  TPM2B_DIGEST to_sign{};
  to_sign.size = static_cast<UINT16>(digest.size());
  std::copy(digest.begin(), digest.end(), to_sign.buffer);
  TPMT_SIG_SCHEME scheme{};
  scheme.scheme = TPM2_ALG_ECDSA;
  scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  TPMT_TK_HASHCHECK not_hashed_by_tpm{};
  not_hashed_by_tpm.tag = TPM2_ST_HASHCHECK;
  not_hashed_by_tpm.hierarchy = TPM2_RH_NULL;
  EsysPtr<TPMT_SIGNATURE> signature;
  CKPTSEAL_TRY(context.run(TpmOperation::sign, [&] {
    return Esys_Sign(context.get(), key.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                     &to_sign, &scheme, &not_hashed_by_tpm, into(signature));
  }));
  CKPTSEAL_ASSIGN(const EcdsaSignature out, to_ecdsa(*signature));
  CKPTSEAL_ASSIGN(const EcPoint point, keys_.signing_key.public_area.p256_point());
  if (!verify_p256(point, digest, out)) return tpm_error(TPM2_RC_BAD_AUTH, TpmOperation::sign);
  return out;
}

Status EsysTpm::cap(unsigned pcr) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection_));
  const Digest what = Sha256::of(as_bytes("ckpt-seal/v1/cap"));  // docs/policies.md, "Cap"
  TPML_DIGEST_VALUES digests{};
  digests.count = 1;
  digests.digests[0].hashAlg = TPM2_ALG_SHA256;
  std::copy(what.begin(), what.end(), digests.digests[0].digest.sha256);
  return context.run(TpmOperation::extend_pcr, [&] {
    return Esys_PCR_Extend(context.get(), ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                           ESYS_TR_NONE, &digests);
  });
}

Result<PcrValues> EsysTpm::read_pcrs(const PcrSelection& selection) {
  return ckptseal::read_pcrs(connection_, selection);
}

Result<PcrValues> read_pcrs(TpmConnection& connection, const PcrSelection& selection) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  for (int left = tries_after_pcr_change; left > 0; --left) {
    CKPTSEAL_ASSIGN(const std::optional<PcrProgress> read,
                    read_selected(context, selection.mask()));
    if (!read) continue;
    PcrValues out{selection, {}};
    for (const unsigned pcr : selection.indices()) out.values.push_back(read->values[pcr]);
    return out;
  }
  return tpm_error(TPM2_RC_PCR_CHANGED, TpmOperation::read_pcrs);
}

}  // namespace ckptseal
