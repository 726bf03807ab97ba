// SPDX-License-Identifier: Apache-2.0
//
// The way from a state folder to its TPM: lock it, start it if it is our own software TPM, open it.
// docs/state.md, "tpm/".
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "keymgr/tpm2/soft_tpm.h"
#include "keymgr/tpm2/tcti.h"
#include "keymgr/tpm2/tpm_lock.h"
#include "provisioning/provisioning_tpm.h"
#include "provisioning/state.h"

namespace ckptseal {

// What --tpm and tpm/tcti say for the software TPM under the state folder.
inline constexpr const char* soft_tcti = "soft";

// The TPM of a state folder: locked, and if it is the software one, running. Ends both when it
// goes. Commands need a connection besides, which may be made in another process: the helper's is
// its own.
class TpmSession {
 public:
  // `tcti`: soft_tcti or a TCTI string. Waits for the lock; Code::unavailable when another verb
  // keeps it, or when the software TPM is not there or does not start.
  static Result<TpmSession> start(const State& state, const std::string& tcti);
  // The same, and manufactures the software TPM if that is asked for and not there.
  static Result<TpmSession> make(const State& state, const std::string& tcti);
  // As start(), while there is no folder to lock in and so nobody to lock out.
  static Result<TpmSession> start_unlocked(const State& state, const std::string& tcti);

  const std::string& tcti() const { return tcti_; }  // never soft_tcti
  Result<TpmConnection> connect(std::chrono::milliseconds timeout) const;

 private:
  TpmSession(std::optional<TpmLock> lock, std::optional<SoftTpm> soft, std::string tcti)
      : lock_(std::move(lock)), soft_(std::move(soft)), tcti_(std::move(tcti)) {}
  static Result<TpmSession> start(std::optional<TpmLock> lock, const State& state,
                                  const std::string& tcti);

  // Made in this order; they go in the other.
  std::optional<TpmLock> lock_;
  std::optional<SoftTpm> soft_;
  std::string tcti_;
};

// For provision_host() and remove_host(); `timeout` bounds the wait for each answer. In a dry run a
// software TPM that is not there is answered for and not made.
TpmOpener standard_tpm_opener(std::chrono::milliseconds timeout = TpmConnection::standard_timeout);

}  // namespace ckptseal
