// SPDX-License-Identifier: Apache-2.0
//
// What setting a host up asks of its TPM. Behind it stands keymgr/tpm2 (tpm_access.h); in tests a
// double that can fail at every step.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "keymgr/tpm2/provision.h"
#include "policies/pcr.h"
#include "provisioning/state.h"

namespace ckptseal {

class ProvisioningTpm {
 public:
  virtual ~ProvisioningTpm() = default;

  // As the functions of keymgr/tpm2/provision.h.
  virtual Result<std::vector<ProvisionStep>> plan() = 0;
  virtual Result<TpmIdentity> provision(const ProvisionProgress& progress) = 0;
  virtual Result<std::vector<ProvisionStep>> plan_removal(const TpmKeys& keys) = 0;
  virtual Status remove(const TpmKeys& keys) = 0;

  // As those of keymgr/tpm2/use_count.h.
  virtual Result<std::uint64_t> read_use_count(const TpmKeys& keys, std::uint32_t index) = 0;
  virtual Status count_use(const TpmKeys& keys, std::uint32_t index) = 0;

  virtual Result<PcrValues> read_pcrs(const PcrSelection& selection) = 0;
  // By the signing key of `keys`.
  virtual Result<EcdsaSignature> sign(const TpmKeys& keys, const Digest& digest) = 0;
};

// Opens the TPM that `tcti` names and keeps every other verb from it as long as the object lives.
// With dry_run nothing may be made, not even the folder of a software TPM.
using TpmOpener = std::function<Result<std::unique_ptr<ProvisioningTpm>>(
    const State& state, const std::string& tcti, bool dry_run)>;

}  // namespace ckptseal
