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

void add_criu_option(const Verb& verb, std::string& program);
// With --criu, and all that goes to CRIU.
void add_criu_options(const Verb& verb, CriuOptions& options);

// The path of a program by its name, as root may run it: as a shell looks in PATH, but elements
// that do not begin with a slash are passed over. Empty when there is none.
std::string find_in_path(const std::string& name);
// What the user calls CRIU: `named`, else CRIU in the environment, else "criu".
std::string name_of_criu(const std::string& named);
// A path of it: a name without a slash is looked up in PATH. Code::unavailable when there is none
// that can be run.
Result<std::string> find_criu(const std::string& named);
// The path of the program that CRIU calls as its action script: beside this one, or where it is
// installed. Code::unavailable when it is in neither place.
Result<std::string> find_hook();
// Takes out what could set any option and load any library, --no-default-config or not.
void clean_criu_environment();

// 0 unless `error` is that of a dump or restore that one of `signals` gave up.
int signal_behind(const Error& error, const EndingSignals& signals);

// Code::usage for options that may not be passed on, Code::unavailable when there is no CRIU.
// `arguments` come before the user's.
Result<CriuSetup> criu_setup(CriuVerb verb, const CriuOptions& options,
                             std::vector<std::string> arguments);

}  // namespace ckptseal
