// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal dump`: a running process tree becomes a sealed checkpoint.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/step.h"
#include "cli/criu_options.h"
#include "cli/journal.h"
#include "cli/sealing/sealing.h"
#include "cli/verbs/verbs.h"
#include "criu/dump.h"

namespace ckptseal {
namespace {

struct DumpVerbOptions {
  SealingOptions sealing;
  CriuOptions criu;
  unsigned pid = 0;
  bool leave_running = false;
};

Status check_process(unsigned number) {
  const auto pid = static_cast<pid_t>(number);
  if (pid == getpid() || pid == getppid()) {
    return Error{Code::usage,
                 "ckpt-seal cannot dump itself or what it was started by; run it from elsewhere.",
                 0};
  }
  if (kill(pid, 0) == 0 || errno != ESRCH) return {};
  return Error{Code::usage,
               fmt::format("There is no process {}; name one that runs with -t.", number), 0};
}

// Fills in the entry as it learns more. From when there is something to take back, signals wait.
Result<Outcome> dump_process(const Globals& globals, const DumpVerbOptions& options,
                             Console& console, JournalEntry& entry, EndingSignals& signals) {
  if (options.sealing.output == "-") {
    return Error{Code::usage,
                 "A dump counts only once it is on disk, and then the process ends; name a file "
                 "with -o.",
                 0};
  }
  std::vector<std::string> arguments = {"--tree", std::to_string(options.pid)};
  if (options.leave_running) arguments.emplace_back("--leave-running");
  DumpJob job;
  job.tree = static_cast<pid_t>(options.pid);
  CKPTSEAL_ASSIGN(job.criu, criu_setup(CriuVerb::dump, options.criu, std::move(arguments)));
  CKPTSEAL_TRY(check_process(options.pid));
  CKPTSEAL_ASSIGN(const auto sealing, Sealing::prepare(globals, options.sealing, console));
  entry.recipients = sealing->recipients().records();
  entry.origin = sealing->origin();
  if (options.sealing.dry_run) {
    Outcome outcome;
    outcome.json = {{"dry_run", true}, {"recipients", sealing->recipients().names()}};
    outcome.text =
        fmt::format("Would dump process {} as {}.\n", options.pid, options.sealing.output);
    return outcome;
  }
  CKPTSEAL_TRY(signals.hold());
  job.criu.signals = &signals;
  CKPTSEAL_TRY(sealing->open());
  reached("dump: the output file is open");
  job.output_fd = sealing->output_fd();
  job.spool_fd = sealing->spool_fd();
  job.options = sealing->seal_options(Content::criu);
  job.recipients = sealing->printing_factory();
  job.descriptors = sealing->descriptors();
  job.commit = [&](const HelperReport& report) -> Status {
    CKPTSEAL_TRY(sealing->commit());
    entry.checkpoint_id = report.checkpoint_id();
    return {};
  };
  HelperEvents events;
  events.progress = [&](std::uint64_t done, std::uint64_t total) { console.progress(done, total); };
  events.sign = [&](const Digest& digest) { return sealing->sign(digest); };
  const Result<HelperReport> report = dump(job, events);
  if (!report.ok()) {
    sealing->warn_of_paper(console);
    return report.error();
  }
  Outcome outcome = sealing->describe(report.value());
  outcome.stands = true;
  outcome.json["images"] = report.value().image_count();
  outcome.json["left_running"] = options.leave_running;
  return outcome;
}

Result<Outcome> dump_and_record(const Globals& globals, const DumpVerbOptions& options,
                                Console& console) {
  JournalEntry entry;
  entry.verb = "dump";
  entry.path = options.sealing.output;
  entry.pid = static_cast<pid_t>(options.pid);
  EndingSignals signals;
  if (options.sealing.dry_run) return dump_process(globals, options, console, entry, signals);
  CKPTSEAL_ASSIGN(const Journal journal, Journal::open(globals.state));
  Result<Outcome> done = dump_process(globals, options, console, entry, signals);
  if (!done.ok()) entry.ended_by = signal_behind(done.error(), signals);
  console.end_by(entry.ended_by);
  journal.record(entry, done, console);
  return done;
}

}  // namespace

void add_dump_verb(const Verb& command) {
  auto options = std::make_shared<DumpVerbOptions>();
  const Verb verb = command.verb("dump", "Seal a running process and all its children",
                                 "ckpt-seal dump -t 4711 -o service.cks --to host-b");
  verb.option("-t,--tree", options->pid, "The process to dump, with all below it")
      .value_name("PID")
      .between(1, 4194304)
      .required();
  verb.option("-o,--output", options->sealing.output, "Sealed file").value_name("FILE").required();
  add_sealing_options(verb, options->sealing);
  verb.flag("-R,--leave-running", options->leave_running, "Let the process go on afterwards");
  add_criu_options(verb, options->criu);
  verb.does([options](const Globals& globals, Console& c) {
    return dump_and_record(globals, *options, c);
  });
}

}  // namespace ckptseal
