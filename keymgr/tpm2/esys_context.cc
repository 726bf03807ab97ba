// SPDX-License-Identifier: Apache-2.0
//
// The owners of esys_internal.h. Handles are flushed by a command of our own and not by ESYS, which
// refuses every call after an answer that it did not understand.
#include <tss2/tss2_mu.h>
#include <tss2/tss2_sys.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "base/secret.h"
#include "keymgr/tpm2/esys_internal.h"

namespace ckptseal {
namespace {

// Covers the frames of ESYS and of the cryptography below it, which had the plaintext in arrays.
[[gnu::noinline]] void wipe_stack() {
  std::array<std::uint8_t, std::size_t{32} * 1024> below;
  wipe(below);
}

// What Esys_TR_Serialize of tpm2-tss 3.2 to 4.1 gives for a key, which has nothing in it that is
// not in `key`. ESYS believes such a blob without a check, and would salt sessions to a key in it
// that is not the pinned one.
Bytes serialized_key(const TpmKey& key) {
  constexpr std::uint32_t is_a_key = 1;
  const Bytes& area = key.public_area.marshalled();
  ByteWriter out;
  out.u32(key.handle);
  out.u16(static_cast<std::uint16_t>(key.public_area.name().size()));
  out.bytes(key.public_area.name());
  out.u32(is_a_key);
  out.u16(static_cast<std::uint16_t>(area.size())).bytes(area);
  return out.take();
}

}  // namespace

Result<EsysContext> EsysContext::make(TpmConnection& connection) {
  EsysContext out(connection.transport());
  if (out.transport_->failure) return *out.transport_->failure;
  ESYS_CONTEXT* raw = nullptr;
  const TSS2_RC code = Esys_Initialize(&raw, out.transport_->tcti(), nullptr);
  out.context_.reset(raw);
  CKPTSEAL_TRY(out.check(code, TpmOperation::connect));
  return out;
}

Status EsysContext::check(TSS2_RC code, TpmOperation operation) const {
  if (code == TSS2_RC_SUCCESS) return {};
  if (transport_->failure) return *transport_->failure;
  return tpm_error(code, operation);
}

Status EsysContext::run(TpmOperation operation, const std::function<TSS2_RC()>& call) const {
  constexpr int tries = 6;
  std::chrono::milliseconds pause{100};
  for (int left = tries;; --left) {
    const TSS2_RC code = call();
    if (!is_nv_rate(code) || left == 1) return check(code, operation);
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
}

void EsysContext::wipe_buffers() const {
  // The buffer of the system API holds the decrypted answer. Preparing a command, which sends
  // nothing, overwrites its first kilobyte; an unsealed secret and its header are 150 bytes at
  // most.
  TPM2B_MAX_BUFFER zeros{};
  zeros.size = sizeof zeros.buffer;
  TSS2_SYS_CONTEXT* system = nullptr;
  if (Esys_GetSysContext(context_.get(), &system) == TSS2_RC_SUCCESS) {
    Tss2_Sys_Hash_Prepare(system, &zeros, TPM2_ALG_SHA256, TPM2_RH_NULL);
  }
  wipe_stack();
}

EsysHandle::EsysHandle(const EsysContext& context, ESYS_TR esys, bool flush)
    : context_(&context), esys_(esys), flush_(flush) {
  if (Esys_TR_GetTpmHandle(context.get(), esys, &handle_) != TSS2_RC_SUCCESS) flush_ = false;
}

EsysHandle EsysHandle::flushed(const EsysContext& context, ESYS_TR esys) {
  return {context, esys, true};
}
EsysHandle EsysHandle::persistent(const EsysContext& context, ESYS_TR esys) {
  return {context, esys, false};
}

EsysHandle::EsysHandle(EsysHandle&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)),
      esys_(std::exchange(other.esys_, ESYS_TR_NONE)),
      handle_(std::exchange(other.handle_, 0)),
      flush_(std::exchange(other.flush_, false)) {}

EsysHandle& EsysHandle::operator=(EsysHandle&& other) noexcept {
  if (this != &other) {
    reset();
    context_ = std::exchange(other.context_, nullptr);
    esys_ = std::exchange(other.esys_, ESYS_TR_NONE);
    handle_ = std::exchange(other.handle_, 0);
    flush_ = std::exchange(other.flush_, false);
  }
  return *this;
}

void EsysHandle::reset() {
  if (context_ == nullptr) return;
  if (flush_) context_->transport().flush(handle_);
  gone();
}

void EsysHandle::gone() {
  if (context_ == nullptr) return;
  Esys_TR_Close(context_->get(), &esys_);
  context_ = nullptr;
  flush_ = false;
}

Result<EsysHandle> pinned_key(const EsysContext& context, ByteView blob, const TpmKey& key) {
  const Error other{Code::integrity,
                    "The stored description of a TPM key does not belong to that key: the state "
                    "folder is damaged or altered, so provision this host again.",
                    0};
  if (!same_bytes(blob, serialized_key(key))) return other;
  ESYS_TR raw = ESYS_TR_NONE;
  const TSS2_RC code = Esys_TR_Deserialize(context.get(), blob.data(), blob.size(), &raw);
  if (code != TSS2_RC_SUCCESS) return other;
  return EsysHandle::persistent(context, raw);
}

Result<EsysHandle> start_session(const EsysContext& context, const EsysHandle& parent,
                                 TPM2_SE type) {
  TPMT_SYM_DEF symmetric{};
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = 128;
  symmetric.mode.aes = TPM2_ALG_CFB;
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.run(TpmOperation::start_session, [&] {
    return Esys_StartAuthSession(context.get(), parent.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                                 ESYS_TR_NONE, ESYS_TR_NONE, nullptr, type, &symmetric,
                                 TPM2_ALG_SHA256, &raw);
  }));
  EsysHandle session = EsysHandle::flushed(context, raw);
  constexpr TPMA_SESSION all = 0xff;  // so that CONTINUESESSION, which ESYS sets, is cleared
  CKPTSEAL_TRY(
      context.check(Esys_TRSess_SetAttributes(context.get(), raw,
                                              TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, all),
                    TpmOperation::start_session));
  return session;
}

Result<TpmPublic> to_public(const TPM2B_PUBLIC& in) {
  Bytes out(sizeof in.publicArea);
  std::size_t used = 0;
  const TSS2_RC code = Tss2_MU_TPMT_PUBLIC_Marshal(&in.publicArea, out.data(), out.size(), &used);
  if (code != TSS2_RC_SUCCESS) return tpm_error(code, TpmOperation::read_public);
  out.resize(used);
  return TpmPublic::parse(out);
}

TPML_PCR_SELECTION to_tpm(std::uint32_t pcr_mask) {
  TPML_PCR_SELECTION out{};
  out.count = 1;
  out.pcrSelections[0].hash = TPM2_ALG_SHA256;
  out.pcrSelections[0].sizeofSelect = 3;
  for (std::size_t i = 0; i < 3; ++i) {
    out.pcrSelections[0].pcrSelect[i] = static_cast<BYTE>(pcr_mask >> (8 * i));
  }
  return out;
}

}  // namespace ckptseal
