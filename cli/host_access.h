// SPDX-License-Identifier: Apache-2.0
//
// What a verb needs of the host it runs on: its state, record and keys, the records it trusts, and
// its TPM, one user at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/command_line.h"
#include "hosts/trust.h"
#include "keymgr/public_key/public_key.h"
#include "keymgr/recipient.h"
#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/tpm_identity.h"
#include "provisioning/state.h"
#include "provisioning/tpm_access.h"

namespace ckptseal {

Seconds now_seconds();
std::uint64_t machine_memory();  // bytes

// Of a host with a token. Code::integrity when it is not on its curve.
Result<PublicKey> storage_key_of(const HostRecord& record);

class HostAccess {
 public:
  // A host that was never provisioned is fine here: see provisioned().
  static Result<HostAccess> open(const Globals& globals);

  bool provisioned() const { return keys_.has_value() || token_.has_value(); }
  // A PKCS #11 token in place of a TPM.
  bool has_token() const { return token_.has_value(); }
  // Code::failed with what to do when it is not.
  Status require_provisioned() const;
  // Also Code::untrusted when its own record has expired: what it signs then, nobody accepts.
  Status require_signing() const;

  const State& state() const { return state_; }
  const SignedHostRecord& record() const { return *record_; }  // when provisioned
  const TpmKeys& keys() const { return *keys_; }               // when it has a TPM
  const HostTokenState& token() const { return *token_; }      // when it has one
  TrustStore trust_store() const;
  // "soft" or a TCTI string: --tpm, else as provisioned.
  const std::string& tpm_name() const { return tpm_name_; }
  std::chrono::milliseconds tpm_timeout() const { return tpm_timeout_; }

  Result<TpmSession> start_tpm() const;
  Result<EsysTpm> connect(const TpmSession& session) const;
  // By the signing key, with a TPM session of its own, or by the token, which a child asks: it is
  // ended when it takes longer than the TPM may.
  Result<EcdsaSignature> sign(const Digest& digest) const;
  // Reaches the TPM of `session` only when a slot is for this host. For use in the helper.
  std::unique_ptr<Identity> tpm_identity(const std::string& tcti, ReleaseHelp help) const;
  // The same of the host's token. Code::integrity when its record has no key of P-256.
  Result<std::unique_ptr<Identity>> token_identity(std::shared_ptr<TokenRun> run) const;

 private:
  Result<EcdsaSignature> sign_with_token(const Digest& digest) const;
  explicit HostAccess(std::string folder) : state_(std::move(folder)) {}

  State state_;
  std::optional<SignedHostRecord> record_;
  std::optional<TpmKeys> keys_;
  std::optional<HostTokenState> token_;
  std::string tpm_name_;
  std::chrono::milliseconds tpm_timeout_{};
  bool verbose_ = false;
};

}  // namespace ckptseal
