// SPDX-License-Identifier: Apache-2.0
//
// Finds CRIU and this program.
#include "cli/criu_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <sstream>

namespace ckptseal {
namespace {

std::string find_in_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

Result<std::string> find_criu(const std::string& named) {
  const char* const variable = std::getenv("CRIU");
  std::string program = named;
  if (program.empty() && variable != nullptr) program = variable;
  if (program.empty()) program = find_in_path("criu");
  if (!program.empty() && access(program.c_str(), X_OK) == 0) return program;
  return Error{
      Code::unavailable,
      fmt::format("There is no CRIU ({}); install the package criu, or name one with --criu.",
                  program.empty() ? "no criu in PATH" : program + " cannot be run"),
      0};
}

Result<std::string> this_program() {
  std::string out(PATH_MAX, '\0');
  const ssize_t n = readlink("/proc/self/exe", out.data(), out.size());
  if (n <= 0) return system_error("Cannot find this program", errno);
  out.resize(static_cast<std::size_t>(n));
  return out;
}

}  // namespace

void add_criu_options(const Verb& verb, CriuOptions& options) {
  verb.option("--criu", options.program,
              "The CRIU to run (default: CRIU in the environment, else criu in PATH)")
      .value_name("PATH");
  verb.option("--stall", options.stall_seconds, "Give up when nothing moves for so long")
      .value_name("SECONDS")
      .between(1, 86400)
      .shows_default();
  verb.rest("CRIU-OPTIONS", options.words, "Behind --: options that are passed on to CRIU");
}

Result<CriuSetup> criu_setup(CriuVerb verb, const CriuOptions& options,
                             std::vector<std::string> arguments) {
  CKPTSEAL_TRY(check_criu_options(verb, options.words));
  CriuSetup out;
  out.verb = verb;
  CKPTSEAL_ASSIGN(out.program, find_criu(options.program));
  CKPTSEAL_ASSIGN(out.self, this_program());
  out.arguments = std::move(arguments);
  out.arguments.insert(out.arguments.end(), options.words.begin(), options.words.end());
  out.stall = std::chrono::seconds(options.stall_seconds);
  // They could set any option and load any library, --no-default-config or not.
  for (const char* name : {"CRIU_CONFIG_FILE", "CRIU_LIBS_DIR", "CRIU_DEPRECATED", "CRIU_FAULT"}) {
    unsetenv(name);
  }
  return out;
}

}  // namespace ckptseal
