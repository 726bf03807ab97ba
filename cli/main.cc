// SPDX-License-Identifier: Apache-2.0
//
// The command line of ckpt-seal: global options, verbs, exit codes. docs/architecture.md, "cli".
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/ending_signals.h"
#include "base/step.h"
#include "cli/verbs/policy.h"
#include "cli/verbs/verbs.h"
#include "keymgr/public_key/openssl_memory.h"

namespace ckptseal {
namespace {

void from_environment(const char* name, std::string& value) {
  const char* found = std::getenv(name);
  if (found != nullptr && *found != '\0') value = found;
}

void add_global_options(const Verb& command, Globals& globals) {
  command.option("--state", globals.state, "Folder that holds what this host knows")
      .value_name("DIR")
      .shows_default();
  command
      .option("--tpm", globals.tpm,
              "TPM to use: soft, device:/dev/tpmrm0, swtpm:path=SOCKET (default: the one the host "
              "was provisioned with)")
      .value_name("TCTI");
  command.option("--tpm-timeout", globals.tpm_timeout, "Longest wait for one answer of the TPM")
      .value_name("SECONDS")
      .between(1, 3600)
      .shows_default();
  command.flag("--json", globals.json, "Report as one JSON object on stdout");
  command.flag("--verbose", globals.verbose,
               "Also say each step of provisioning, and the commands of a TPM that opens a file");
}

// The TSS logs every refusal of the TPM to stderr; ours are said in a sentence.
void silence_tss() { setenv("TSS2_LOG", "all+none", 0); }

// The number of a closed stdin, stdout or stderr would be the next file's, and messages would go
// into it. Reading the one and writing the others fails, as if they were closed.
void keep_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // the lowest that is free
  }
}

// What cannot be written is an error among others, and no end in the middle of the work.
void survive_failing_writes() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

// For the tests of what a kill leaves (docs/criu.md, "Steps").
void choose_step() {
#ifdef CKPTSEAL_STEPS
  std::string step;
  from_environment("CKPT_SEAL_STOP_AT", step);
  stop_at(step);
#endif
}

int run(int argc, char** argv) {
  // Before the TPM software stack uses it.
  wipe_what_openssl_frees();
  choose_step();
  silence_tss();
  Globals globals;
  from_environment("CKPT_SEAL_STATE", globals.state);
  from_environment("CKPT_SEAL_TPM", globals.tpm);
  globals.event_log = kernel_event_log;
  from_environment("CKPT_SEAL_EVENT_LOG", globals.event_log);
  CommandLine line(
      "ckpt-seal",
      "Sealed checkpoints: encrypted for hosts in an approved state, opened by nobody else.",
      CKPTSEAL_VERSION);
  const Verb command = line.root();
  add_global_options(command, globals);
  add_provision_verb(command);
  add_host_verbs(command);
  add_dump_verb(command);
  add_restore_verb(command);
  add_seal_verb(command);
  add_open_verb(command);
  add_inspect_verb(command);
  add_verify_verb(command);
  add_rewrap_verb(command);
  add_shred_verb(command);
  add_policy_verbs(command);
  add_authority_verbs(command);
  add_keygen_verb(command);
  add_doctor_verb(command);
  if (const std::optional<int> code = line.parse(argc, argv)) return *code;
  keep_standard_descriptors();
  survive_failing_writes();
  Console console(line.verb());
  const int code = console.finish(line.action()(globals, console), globals.json);
  return console.ended_by() == 0 ? code : end_by_signal(console.ended_by());
}

}  // namespace
}  // namespace ckptseal

int main(int argc, char** argv) {
  try {
    return ckptseal::run(argc, argv);
  } catch (const std::exception& bug) {
    std::fprintf(stderr, "ckpt-seal: this is a bug, please report it: %s.\n", bug.what());
    return 1;
  }
}
