// SPDX-License-Identifier: Apache-2.0
//
// ESYS behind owners that give back what they hold: a context on a connection, a handle in the TPM,
// a session, memory of the TSS. Only .cc files of keymgr/tpm2 include this: it brings the TSS's
// headers.
#pragma once

#include <tss2/tss2_esys.h>

#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "keymgr/tpm2/channel.h"
#include "keymgr/tpm2/keys.h"
#include "keymgr/tpm2/return_codes.h"
#include "keymgr/tpm2/tcti.h"

namespace ckptseal {

// What ESYS is given as its TCTI (TCG TSS 2.0 TCTI specification, "TCTI context").
struct TpmConnection::Transport {
  struct Face {  // standard layout: the TSS sees `common`, our functions find the owner behind it
    TSS2_TCTI_CONTEXT_COMMON_V2 common{};
    Transport* owner = nullptr;
  };

  Transport(std::unique_ptr<TpmChannel> channel, std::string name,
            std::chrono::milliseconds timeout);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  TSS2_TCTI_CONTEXT* tcti() { return reinterpret_cast<TSS2_TCTI_CONTEXT*>(&face); }
  // The two halves of a command, with the checks. After one failed, both fail at once.
  Status send(ByteView command);
  Result<Bytes> receive();
  // TPM2_FlushContext. Once the connection is dead it is tried anew where that can help, without
  // much patience: what the TPM still holds for us should not stay behind. What cannot be helped is
  // an object or session whose handle was in an answer that never came.
  void flush(TPM2_HANDLE handle);

  Face face;
  std::unique_ptr<TpmChannel> channel;
  std::string name;
  std::chrono::milliseconds timeout;
  Deadline deadline{};
  std::vector<std::uint32_t> commands;
  std::optional<Error> failure;  // set: the connection is dead
  bool parted = false;           // dead, and even a flush was not answered

 private:
  Status die(Error error);
};

template <typename T>
struct EsysFree {
  void operator()(T* memory) const { Esys_Free(memory); }
};
template <typename T>
using EsysPtr = std::unique_ptr<T, EsysFree<T>>;

// Takes an out-pointer of ESYS straight into its owner: f(..., into(owner)).
template <typename T>
class Into {
 public:
  explicit Into(EsysPtr<T>& owner) : owner_(owner) {}
  Into(const Into&) = delete;
  Into& operator=(const Into&) = delete;
  ~Into() { owner_.reset(raw_); }
  operator T**() { return &raw_; }  // NOLINT(google-explicit-constructor): made for that

 private:
  EsysPtr<T>& owner_;
  T* raw_ = nullptr;
};
template <typename T>
Into<T> into(EsysPtr<T>& owner) {
  return Into<T>(owner);
}

class EsysContext {
 public:
  // The connection must outlive the context.
  static Result<EsysContext> make(TpmConnection& connection);

  ESYS_CONTEXT* get() const { return context_.get(); }
  TpmConnection::Transport& transport() const { return *transport_; }

  // Success, or what the code means for that operation; what killed the connection, if it is dead.
  Status check(TSS2_RC code, TpmOperation operation) const;
  // Calls, and again after a pause while the TPM protects its NV memory from wear (NV_RATE); a
  // bounded number of times.
  Status run(TpmOperation operation, const std::function<TSS2_RC()>& call) const;
  // Overwrites what the last answers left in the buffer of this context and on the stack.
  void wipe_buffers() const;

 private:
  struct Finalize {
    void operator()(ESYS_CONTEXT* context) const { Esys_Finalize(&context); }
  };
  explicit EsysContext(TpmConnection::Transport& transport) : transport_(&transport) {}

  TpmConnection::Transport* transport_;
  std::unique_ptr<ESYS_CONTEXT, Finalize> context_;
};

// A handle in the TPM as ESYS knows it: a transient object or a session, flushed when it goes, or a
// persistent one, which stays. The context must outlive it.
class EsysHandle {
 public:
  EsysHandle() = default;
  EsysHandle(EsysHandle&& other) noexcept;
  EsysHandle& operator=(EsysHandle&& other) noexcept;
  EsysHandle(const EsysHandle&) = delete;
  EsysHandle& operator=(const EsysHandle&) = delete;
  ~EsysHandle() { reset(); }

  // Owns what ESYS just made under `esys`.
  static EsysHandle flushed(const EsysContext& context, ESYS_TR esys);
  static EsysHandle persistent(const EsysContext& context, ESYS_TR esys);

  ESYS_TR get() const { return esys_; }
  TPM2_HANDLE tpm_handle() const { return handle_; }
  // Flushes now.
  void reset();
  // The TPM has flushed it by itself.
  void gone();

 private:
  EsysHandle(const EsysContext& context, ESYS_TR esys, bool flush);

  const EsysContext* context_ = nullptr;
  ESYS_TR esys_ = ESYS_TR_NONE;
  TPM2_HANDLE handle_ = 0;
  bool flush_ = false;
};

// A persistent key from what Esys_TR_Serialize gave, without asking the TPM. Code::integrity when
// the blob is not one of `key`.
Result<EsysHandle> pinned_key(const EsysContext& context, ByteView blob, const TpmKey& key);

// A session whose salt only `parent` can read, AES-128-CFB, both directions encrypted, that the TPM
// flushes after its first use as an authorization or, for TPM2_SE_HMAC, its first use at all.
Result<EsysHandle> start_session(const EsysContext& context, const EsysHandle& parent,
                                 TPM2_SE type);

// TPMT_PUBLIC of an answer, judged and with its Name.
Result<TpmPublic> to_public(const TPM2B_PUBLIC& in);
TPML_PCR_SELECTION to_tpm(std::uint32_t pcr_mask);

}  // namespace ckptseal
