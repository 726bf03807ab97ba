// SPDX-License-Identifier: Apache-2.0
//
// A software TPM of a test's own, which fails the test when it ends with a transient object or a
// session still loaded.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "keymgr/tpm2/soft_tpm.h"
#include "keymgr/tpm2/tcti.h"

namespace ckptseal::testing {

// A folder with a short name, gone at the end.
class ShortFolder {
 public:
  ShortFolder();
  ~ShortFolder();
  ShortFolder(const ShortFolder&) = delete;
  ShortFolder& operator=(const ShortFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A copy of a TPM that was manufactured once for all tests: "a" and "b" are different TPMs.
std::string copy_tpm(const std::string& which, const std::string& into);

// Extends a PCR by the digest 01 00 .. 00.
void extend_pcr(const std::string& tcti, unsigned pcr);

class OwnTpm {
 public:
  explicit OwnTpm(const std::string& which = "a");
  ~OwnTpm();  // with the check for leaks, unless the TPM was killed
  OwnTpm(const OwnTpm&) = delete;
  OwnTpm& operator=(const OwnTpm&) = delete;

  const std::string& tcti() const { return tpm_->tcti(); }
  std::string socket() const { return folder_.path() + "/tpm/sock"; }
  pid_t pid() const { return tpm_->pid(); }
  TpmConnection connect(std::chrono::milliseconds timeout = TpmConnection::standard_timeout) const;
  void extend(unsigned pcr) const { extend_pcr(tcti(), pcr); }
  void kill();  // as a power cut; no check for leaks is possible then
  // How many transient objects and loaded sessions there are.
  std::size_t loaded() const;

 private:
  ShortFolder folder_;
  std::optional<SoftTpm> tpm_;
  bool killed_ = false;
};

}  // namespace ckptseal::testing
