// SPDX-License-Identifier: Apache-2.0
//
// Joins keymgr/tpm2's lock, software TPM and connection, and shows them to provisioning as one.
#include "provisioning/tpm_access.h"

#include <fmt/format.h>

#include <filesystem>

namespace ckptseal {
namespace {

Result<TpmAccess> open_locked(std::optional<TpmLock> lock, const State& state,
                              const std::string& tcti) {
  if (tcti != soft_tcti) {
    CKPTSEAL_ASSIGN(TpmConnection connection, TpmConnection::open(tcti));
    return TpmAccess{std::move(lock), std::nullopt, std::move(connection)};
  }
  CKPTSEAL_ASSIGN(SoftTpm soft, SoftTpm::start(state.soft_tpm_folder()));
  CKPTSEAL_ASSIGN(TpmConnection connection, TpmConnection::open(soft.tcti()));
  return TpmAccess{std::move(lock), std::move(soft), std::move(connection)};
}

class RealTpm : public ProvisioningTpm {
 public:
  explicit RealTpm(TpmAccess access)
      : lock_(std::move(access.lock)),
        soft_(std::move(access.soft)),
        connection_(std::move(access.connection)) {}

  Result<std::vector<ProvisionStep>> plan() override { return plan_provision(connection()); }
  Result<TpmIdentity> provision(const ProvisionProgress& progress) override {
    return provision_tpm(connection(), progress);
  }
  Result<std::vector<ProvisionStep>> plan_removal(const TpmKeys& keys) override {
    return ckptseal::plan_removal(connection(), keys);
  }
  Status remove(const TpmKeys& keys) override { return remove_tpm_keys(connection(), keys); }
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

  // In this order: the lock goes last.
  std::optional<TpmLock> lock_;
  std::optional<SoftTpm> soft_;
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
                                      {"epoch counter", 0, false}};
  }
  Result<std::vector<ProvisionStep>> plan_removal(const TpmKeys&) override { return plan(); }
  Result<TpmIdentity> provision(const ProvisionProgress&) override { return unmade(); }
  Status remove(const TpmKeys&) override { return unmade(); }
  Result<PcrValues> read_pcrs(const PcrSelection&) override { return unmade(); }
  Result<EcdsaSignature> sign(const TpmKeys&, const Digest&) override { return unmade(); }

 private:
  static Error unmade() {
    return {Code::unavailable, "The software TPM is not made in a dry run; run it without.", 0};
  }
};

}  // namespace

Result<TpmAccess> access_tpm(const State& state, const std::string& tcti) {
  CKPTSEAL_ASSIGN(TpmLock lock, TpmLock::take(state.lock_path()));
  if (tcti == soft_tcti && !SoftTpm::exists(state.soft_tpm_folder())) {
    CKPTSEAL_TRY(SoftTpm::create(state.soft_tpm_folder()));
  }
  return open_locked(std::move(lock), state, tcti);
}

Result<HostTpm> open_host_tpm(const State& state) {
  CKPTSEAL_TRY(state.check());
  CKPTSEAL_ASSIGN(TpmLock lock, TpmLock::take(state.lock_path()));
  CKPTSEAL_ASSIGN(const std::optional<std::string> tcti, state.tcti());
  CKPTSEAL_ASSIGN(std::optional<TpmKeys> keys, state.keys());
  if (!tcti.has_value() || !keys.has_value()) {
    return Error{Code::failed,
                 fmt::format("Provisioning of {} was not completed; run ckpt-seal provision again.",
                             state.folder()),
                 0};
  }
  CKPTSEAL_ASSIGN(TpmAccess access, open_locked(std::move(lock), state, *tcti));
  return HostTpm{std::move(access.lock), std::move(access.soft),
                 EsysTpm(std::move(access.connection), *std::move(keys))};
}

TpmOpener standard_tpm_opener() {
  return [](const State& state, const std::string& tcti,
            bool dry_run) -> Result<std::unique_ptr<ProvisioningTpm>> {
    std::error_code code;
    const bool has_folder = std::filesystem::is_directory(state.tpm_folder(), code);
    if (dry_run && tcti == soft_tcti && !SoftTpm::exists(state.soft_tpm_folder())) {
      return std::unique_ptr<ProvisioningTpm>(std::make_unique<UnmadeTpm>());
    }
    // Without a folder there is nothing to lock in, and nobody to lock out.
    Result<TpmAccess> access =
        dry_run && !has_folder ? open_locked(std::nullopt, state, tcti) : access_tpm(state, tcti);
    if (!access.ok()) return std::move(access).error();
    return std::unique_ptr<ProvisioningTpm>(std::make_unique<RealTpm>(std::move(access).value()));
  };
}

}  // namespace ckptseal
