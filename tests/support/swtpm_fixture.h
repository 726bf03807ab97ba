// SPDX-License-Identifier: Apache-2.0
//
// A software TPM of a test's own, asked through tpm2-tools: an observer that shares no code with
// what is tested. Link ckptseal_test_support and derive a fixture from SwtpmTest.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/process.h"

namespace ckptseal::test {

// A newly manufactured TPM with its own seeds, started, without an EK certificate. Its folder and
// its process are gone with it.
class Swtpm {
 public:
  static Result<std::unique_ptr<Swtpm>> start();
  Swtpm(const Swtpm&) = delete;
  Swtpm& operator=(const Swtpm&) = delete;
  ~Swtpm();

  const std::string& tcti() const { return tcti_; }
  // A name in the folder of this TPM, where a test may keep what it makes.
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // Runs a program of tpm2-tools on this TPM; what it wrote to stdout.
  Result<std::string> tool(std::vector<std::string> argv) const;
  // The handles of transient objects and of loaded sessions; empty when nothing was leaked.
  Result<std::string> loaded_handles() const;

 private:
  Swtpm(std::string folder, Child child);

  std::string folder_;
  std::string tcti_;
  Child child_;
};

// Each test has a TPM of its own, and fails when it leaves a handle loaded.
class SwtpmTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  Swtpm& tpm() { return *tpm_; }
  // As Swtpm::tool, but fails the test when the tool does.
  std::string run(std::vector<std::string> argv);
  // Whether the tool succeeds; for what the TPM must refuse.
  bool accepts(std::vector<std::string> argv);
  Bytes read(const std::string& name);
  void write(const std::string& name, ByteView bytes);

 private:
  std::unique_ptr<Swtpm> tpm_;
};

}  // namespace ckptseal::test
