// SPDX-License-Identifier: Apache-2.0
//
// One look at a sealed file, as tests/vectors/README.md describes them in JSON: who reads, with
// which keys, whom he trusts and what he wants. For the vectors, and for files that nobody has
// written down (tests/differential/).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sample.h"
#include "sealing/jobs.h"

namespace ckptseal::test {

// Whether there is anything to open a slot with.
bool has_key(const nlohmann::json& look);

struct Outcome {
  Result<HelperReport> report;
  std::vector<std::string> warnings;
  Bytes output;
};

// As `ckpt-seal verify` or `ckpt-seal open`, which counts no uses here.
Outcome do_as_wanted(const nlohmann::json& look, int fd);

// The images, read in this process, for the job does not tell them.
Result<Contents> contents_of(const nlohmann::json& look, int fd);

}  // namespace ckptseal::test
