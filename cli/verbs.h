// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the command. Each adds its options to the command line and, once chosen, leaves what
// is to be done in the Invocation.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "cli/console.h"

namespace ckptseal {

struct Globals {
  std::string state = "/var/lib/ckpt-seal";
  std::string tpm;  // empty: as the host was provisioned
  unsigned tpm_timeout = 30;
  bool json = false;
  bool verbose = false;
};

struct Invocation {
  Globals globals;
  std::string verb;
  std::function<Result<Outcome>(Console&)> action;
};

void add_provision_verb(CLI::App& app, Invocation& invocation);
void add_host_verbs(CLI::App& app, Invocation& invocation);
void add_seal_verb(CLI::App& app, Invocation& invocation);
void add_open_verb(CLI::App& app, Invocation& invocation);
void add_inspect_verb(CLI::App& app, Invocation& invocation);
void add_verify_verb(CLI::App& app, Invocation& invocation);
void add_doctor_verb(CLI::App& app, Invocation& invocation);

// Adds a sub-command with --json and the like; `example` is shown by its --help.
CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& description,
                   const std::string& example);
// Binds what the verb does; `run` is called after the whole line was parsed.
void bind_action(CLI::App* verb, Invocation& invocation,
                 std::function<Result<Outcome>(Console&)> run);

}  // namespace ckptseal
