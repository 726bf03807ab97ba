// SPDX-License-Identifier: Apache-2.0
//
// The command line of ckpt-seal: global options, verbs, exit codes. docs/architecture.md, "cli".
#include <cstdlib>
#include <exception>

#include "cli/verbs.h"

namespace ckptseal {
namespace {

void from_environment(const char* name, std::string& value) {
  const char* found = std::getenv(name);
  if (found != nullptr && *found != '\0') value = found;
}

void add_global_options(CLI::App& app, Globals& globals) {
  app.add_option("--state", globals.state, "Folder that holds what this host knows")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option(
         "--tpm", globals.tpm,
         "TPM to use: soft, device:/dev/tpmrm0, swtpm:path=SOCKET (default: the one the host "
         "was provisioned with)")
      ->type_name("TCTI");
  app.add_option("--tpm-timeout", globals.tpm_timeout, "Longest wait for one answer of the TPM")
      ->type_name("SECONDS")
      ->check(CLI::Range(1U, 3600U))
      ->capture_default_str();
  app.add_flag("--json", globals.json, "Report as one JSON object on stdout");
  app.add_flag("--verbose", globals.verbose, "Also say each step of provisioning");
}

// The TSS logs every refusal of the TPM to stderr; ours are said in a sentence.
void silence_tss() { setenv("TSS2_LOG", "all+none", 0); }

int run(int argc, char** argv) {
  silence_tss();
  Invocation invocation;
  CLI::App app(
      "Sealed checkpoints: encrypted for hosts in an approved state, opened by nobody else.",
      "ckpt-seal");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", "ckpt-seal " CKPTSEAL_VERSION);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    const std::string verb = failed->get_name() == "ckpt-seal" ? "" : failed->get_name() + " ";
    return "ckpt-seal: " + std::string(error.what()) + "; see 'ckpt-seal " + verb + "--help'.\n";
  });
  from_environment("CKPT_SEAL_STATE", invocation.globals.state);
  from_environment("CKPT_SEAL_TPM", invocation.globals.tpm);
  add_global_options(app, invocation.globals);
  add_provision_verb(app, invocation);
  add_host_verbs(app, invocation);
  add_seal_verb(app, invocation);
  add_open_verb(app, invocation);
  add_inspect_verb(app, invocation);
  add_verify_verb(app, invocation);
  add_doctor_verb(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Code::usage);
  }
  Console console(invocation.verb);
  return console.finish(invocation.action(console), invocation.globals.json);
}

}  // namespace

CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& description,
                   const std::string& example) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->footer("Example:\n  " + example);
  verb->fallthrough();
  return verb;
}

void bind_action(CLI::App* verb, Invocation& invocation,
                 std::function<Result<Outcome>(Console&)> action) {
  verb->final_callback([verb, &invocation, action = std::move(action)] {
    const CLI::App* parent = verb->get_parent();
    const bool nested = parent != nullptr && parent->get_parent() != nullptr;
    invocation.verb = (nested ? parent->get_name() + " " : std::string()) + verb->get_name();
    invocation.action = action;
  });
}

}  // namespace ckptseal

int main(int argc, char** argv) {
  try {
    return ckptseal::run(argc, argv);
  } catch (const std::exception& bug) {
    std::fprintf(stderr, "ckpt-seal: this is a bug, please report it: %s.\n", bug.what());
    return 1;
  }
}
