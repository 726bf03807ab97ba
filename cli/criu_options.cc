// SPDX-License-Identifier: Apache-2.0
//
// Finds CRIU and the program that it calls.
#include "cli/criu_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <sstream>

#include "criu/hook_protocol.h"

namespace ckptseal {
namespace {

Result<std::string> folder_of_this_program() {
  std::string out(PATH_MAX, '\0');
  const ssize_t n = readlink("/proc/self/exe", out.data(), out.size());
  if (n <= 0) return system_error("Cannot find this program", errno);
  out.resize(out.rfind('/', static_cast<std::size_t>(n)));
  return out;
}

}  // namespace

Result<std::string> find_hook() {
  CKPTSEAL_ASSIGN(const std::string folder, folder_of_this_program());
  for (const std::string_view place : {".", CKPTSEAL_LIBEXEC}) {
    std::string candidate = fmt::format("{}/{}/{}", folder, place, hook_name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Error{Code::unavailable,
               fmt::format("The program {}, which CRIU has to call, is neither in {} nor in {}/{}; "
                           "install ckpt-seal again.",
                           hook_name, folder, folder, CKPTSEAL_LIBEXEC),
               0};
}

// What depends on the current folder could be anybody's, an empty element among it.
std::string find_in_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.starts_with('/')) continue;
    std::string candidate = fmt::format("{}/{}", folder, name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

std::string name_of_criu(const std::string& named) {
  if (!named.empty()) return named;
  const char* const variable = std::getenv("CRIU");
  return variable != nullptr && *variable != '\0' ? variable : "criu";
}

Result<std::string> find_criu(const std::string& named) {
  const std::string name = name_of_criu(named);
  const bool is_path = name.find('/') != std::string::npos;
  std::string program = is_path ? name : find_in_path(name);
  if (!program.empty() && access(program.c_str(), X_OK) == 0) return program;
  return Error{Code::unavailable,
               fmt::format("There is no CRIU ({} {}); install the package criu, or name one with "
                           "--criu.",
                           name, is_path ? "cannot be run" : "is not in PATH"),
               0};
}

void clean_criu_environment() {
  for (const char* name : {"CRIU_CONFIG_FILE", "CRIU_LIBS_DIR", "CRIU_DEPRECATED", "CRIU_FAULT"}) {
    unsetenv(name);
  }
}

void add_criu_option(const Verb& verb, std::string& program) {
  verb.option("--criu", program,
              "The CRIU to run (default: CRIU in the environment, else criu in PATH)")
      .value_name("PATH");
}

void add_criu_options(const Verb& verb, CriuOptions& options) {
  add_criu_option(verb, options.program);
  verb.option("--stall", options.stall_seconds, "Give up when nothing moves for so long")
      .value_name("SECONDS")
      .between(1, 86400)
      .shows_default();
  verb.rest("CRIU-OPTIONS", options.words, "Behind --: options that are passed on to CRIU");
}

int signal_behind(const Error& error, const EndingSignals& signals) {
  return error.cause == EINTR ? signals.taken().value_or(0) : 0;
}

Result<CriuSetup> criu_setup(CriuVerb verb, const CriuOptions& options,
                             std::vector<std::string> arguments) {
  CKPTSEAL_TRY(check_criu_options(verb, options.words));
  CriuSetup out;
  out.verb = verb;
  CKPTSEAL_ASSIGN(out.program, find_criu(options.program));
  CKPTSEAL_ASSIGN(out.hook, find_hook());
  out.arguments = std::move(arguments);
  out.arguments.insert(out.arguments.end(), options.words.begin(), options.words.end());
  out.stall = std::chrono::seconds(options.stall_seconds);
  clean_criu_environment();
  return out;
}

}  // namespace ckptseal
