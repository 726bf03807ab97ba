// SPDX-License-Identifier: Apache-2.0
//
// The embedded default, `--tpm soft`: a swtpm of our own under the state folder, started for one
// command and stopped after it, with its PCRs kept in between as a machine's are while it sleeps.
// It protects nothing against root, who reads its state.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/process.h"
#include "base/result.h"

namespace ckptseal {

class SoftTpm {
 public:
  // True when create() has been done in `folder`.
  static bool exists(const std::string& folder);
  // Manufactures a TPM in `folder` (made with mode 0700): seeds, EK, and an EK certificate from a
  // CA of its own in `folder`/ca. Code::failed when there is one already, Code::unavailable when
  // swtpm_setup is not installed. Interrupted, it can be done again.
  static Status create(const std::string& folder);

  // Starts swtpm on `folder`/sock and waits until it answers. The caller holds the TpmLock of the
  // folder until stop() is done. Code::usage when the path of the socket is too long,
  // Code::unavailable when swtpm is not installed or does not start.
  static Result<SoftTpm> start(const std::string& folder);

  SoftTpm(SoftTpm&& other) noexcept;
  SoftTpm& operator=(SoftTpm&&) = delete;
  SoftTpm(const SoftTpm&) = delete;
  SoftTpm& operator=(const SoftTpm&) = delete;
  ~SoftTpm();

  const std::string& tcti() const { return tcti_; }  // for TpmConnection::open
  pid_t pid() const { return child_ ? child_->pid() : -1; }
  // Saves the PCRs (TPM2_Shutdown(STATE)) and ends swtpm. Without it, by a kill -9 or a crash, the
  // TPM has had a power cut: its PCRs start from zero.
  Status stop();

 private:
  SoftTpm(Child child, std::string tcti) : child_(std::move(child)), tcti_(std::move(tcti)) {}

  std::optional<Child> child_;
  std::string tcti_;
};

}  // namespace ckptseal
