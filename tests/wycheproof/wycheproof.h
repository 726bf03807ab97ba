// SPDX-License-Identifier: Apache-2.0
//
// What the subjects share: the folder with the vectors, and running a function over a file of them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tally.h"
#include "vectors.h"

namespace ckptseal::test {

// Skips itself unless CKPT_SEAL_WYCHEPROOF names the folder testvectors_v1 of a checkout.
class Wycheproof : public testing::Test {
 protected:
  using Function = std::function<Outcome(const Vector&)>;
  using Stance = std::function<bool(const Vector&)>;

  void SetUp() override;
  // Prints how many vectors there were and fails for each that `function` gets wrong. `accepts` is
  // asked about those that are "acceptable"; without it they must be refused.
  void run(const std::string& file, const std::string& name, const Function& function,
           const Stance& accepts = nullptr) const;

 private:
  std::string folder_;
};

}  // namespace ckptseal::test
