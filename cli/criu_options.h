// SPDX-License-Identifier: Apache-2.0
//
// What dump and restore share: which CRIU is run, and the options that go to it.
#pragma once

#include <string>
#include <vector>

#include "cli/command_line.h"
#include "criu/criu_run.h"

namespace ckptseal {

struct CriuOptions {
  std::string program;  // empty: CRIU in the environment, else criu in PATH
  std::vector<std::string> words;
  unsigned stall_seconds = 60;
};

void add_criu_options(const Verb& verb, CriuOptions& options);

// Code::usage for options that may not be passed on, Code::unavailable when there is no CRIU.
// `arguments` come before the user's.
Result<CriuSetup> criu_setup(CriuVerb verb, const CriuOptions& options,
                             std::vector<std::string> arguments);

}  // namespace ckptseal
