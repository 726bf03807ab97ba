// SPDX-License-Identifier: Apache-2.0
//
// Joins keymgr/tpm2's lock, software TPM and connection, and shows them to provisioning as one.
#include "provisioning/tpm_access.h"

#include <filesystem>

#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/use_count.h"

namespace ckptseal {
namespace {

class RealTpm : public ProvisioningTpm {
 public:
  RealTpm(TpmSession session, TpmConnection connection)
      : session_(std::move(session)), connection_(std::move(connection)) {}

  Result<std::vector<ProvisionStep>> plan() override { return plan_provision(connection()); }
  Result<TpmIdentity> provision(const ProvisionProgress& progress) override {
    return provision_tpm(connection(), progress);
  }
  Result<std::vector<ProvisionStep>> plan_removal(const TpmKeys& keys) override {
    return ckptseal::plan_removal(connection(), keys);
  }
  Status remove(const TpmKeys& keys) override { return remove_tpm_keys(connection(), keys); }
  Result<std::uint64_t> read_use_count(const TpmKeys& keys, std::uint32_t index) override {
    return ckptseal::read_use_count(connection(), keys, index);
  }
  Status count_use(const TpmKeys& keys, std::uint32_t index) override {
    return ckptseal::count_use(connection(), keys, index);
  }
  Result<PcrValues> read_pcrs(const PcrSelection& selection) override {
    return ckptseal::read_pcrs(connection(), selection);
  }
  Result<EcdsaSignature> sign(const TpmKeys& keys, const Digest& digest) override {
    if (connection_.has_value()) {
      signer_.emplace(*std::move(connection_), keys);
      connection_.reset();
    }
    return signer_->sign(digest);
  }

 private:
  TpmConnection& connection() {
    return connection_.has_value() ? *connection_ : signer_->connection();
  }

  TpmSession session_;
  std::optional<TpmConnection> connection_;  // until signer_ has it
  std::optional<EsysTpm> signer_;
};

// A software TPM of which only a plan is wanted.
class UnmadeTpm : public ProvisioningTpm {
 public:
  Result<std::vector<ProvisionStep>> plan() override {
    return std::vector<ProvisionStep>{{"storage parent", 0, false},
                                      {"attestation key", 0, false},
                                      {"signing key", 0, false},
                                      {"epoch counter", 0, false},
                                      {"use counter", 0, false}};
  }
  Result<std::vector<ProvisionStep>> plan_removal(const TpmKeys&) override { return plan(); }
  Result<TpmIdentity> provision(const ProvisionProgress&) override { return unmade(); }
  Status remove(const TpmKeys&) override { return unmade(); }
  Result<std::uint64_t> read_use_count(const TpmKeys&, std::uint32_t) override { return unmade(); }
  Status count_use(const TpmKeys&, std::uint32_t) override { return unmade(); }
  Result<PcrValues> read_pcrs(const PcrSelection&) override { return unmade(); }
  Result<EcdsaSignature> sign(const TpmKeys&, const Digest&) override { return unmade(); }

 private:
  static Error unmade() {
    return {Code::unavailable, "The software TPM is not made in a dry run; run it without.", 0};
  }
};

}  // namespace

Result<TpmSession> TpmSession::start(std::optional<TpmLock> lock, const State& state,
                                     const std::string& tcti) {
  if (tcti != soft_tcti) return TpmSession(std::move(lock), std::nullopt, tcti);
  CKPTSEAL_ASSIGN(SoftTpm soft, SoftTpm::start(state.soft_tpm_folder()));
  std::string socket = soft.tcti();
  return TpmSession(std::move(lock), std::move(soft), std::move(socket));
}

Result<TpmSession> TpmSession::start(const State& state, const std::string& tcti) {
  CKPTSEAL_ASSIGN(TpmLock lock, TpmLock::take(state.lock_path()));
  return start(std::optional(std::move(lock)), state, tcti);
}

Result<TpmSession> TpmSession::make(const State& state, const std::string& tcti) {
  CKPTSEAL_ASSIGN(TpmLock lock, TpmLock::take(state.lock_path()));
  if (tcti == soft_tcti && !SoftTpm::exists(state.soft_tpm_folder())) {
    CKPTSEAL_TRY(SoftTpm::create(state.soft_tpm_folder()));
  }
  return start(std::optional(std::move(lock)), state, tcti);
}

Result<TpmSession> TpmSession::start_unlocked(const State& state, const std::string& tcti) {
  return start(std::nullopt, state, tcti);
}

Result<TpmConnection> TpmSession::connect(std::chrono::milliseconds timeout) const {
  return TpmConnection::open(tcti_, timeout);
}

TpmOpener standard_tpm_opener(std::chrono::milliseconds timeout) {
  return [timeout](const State& state, const std::string& tcti,
                   bool dry_run) -> Result<std::unique_ptr<ProvisioningTpm>> {
    if (dry_run && tcti == soft_tcti && !SoftTpm::exists(state.soft_tpm_folder())) {
      return std::unique_ptr<ProvisioningTpm>(std::make_unique<UnmadeTpm>());
    }
    std::error_code code;
    const bool lockable = std::filesystem::is_directory(state.tpm_folder(), code);
    CKPTSEAL_ASSIGN(TpmSession session, !dry_run   ? TpmSession::make(state, tcti)
                                        : lockable ? TpmSession::start(state, tcti)
                                                   : TpmSession::start_unlocked(state, tcti));
    CKPTSEAL_ASSIGN(TpmConnection connection, session.connect(timeout));
    return std::unique_ptr<ProvisioningTpm>(
        std::make_unique<RealTpm>(std::move(session), std::move(connection)));
  };
}

}  // namespace ckptseal
