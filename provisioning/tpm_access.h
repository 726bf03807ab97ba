// SPDX-License-Identifier: Apache-2.0
//
// The way from a state folder to its TPM: lock it, start it if it is our own software TPM, open it.
// docs/state.md, "tpm/".
#pragma once

#include <optional>
#include <string>

#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/soft_tpm.h"
#include "keymgr/tpm2/tcti.h"
#include "keymgr/tpm2/tpm_lock.h"
#include "provisioning/provisioning_tpm.h"
#include "provisioning/state.h"

namespace ckptseal {

// What --tpm and tpm/tcti say for the software TPM under the state folder.
inline constexpr const char* soft_tcti = "soft";

// In the order in which they are made; they go in the other.
struct TpmAccess {
  std::optional<TpmLock> lock;  // empty only in a dry run before there is a folder to lock in
  std::optional<SoftTpm> soft;
  TpmConnection connection;
};
// Manufactures the software TPM if it is asked for and not there. After State::create().
Result<TpmAccess> access_tpm(const State& state, const std::string& tcti);

// The TPM of a provisioned host, for daily work.
struct HostTpm {
  std::optional<TpmLock> lock;
  std::optional<SoftTpm> soft;
  EsysTpm tpm;
};
// Code::failed when the host is not provisioned, Code::unavailable when the TPM is gone or in use.
Result<HostTpm> open_host_tpm(const State& state);

// For provision_host() and remove_host(). With dry_run a software TPM that is not there yet is
// answered for and not made.
TpmOpener standard_tpm_opener();

}  // namespace ckptseal
