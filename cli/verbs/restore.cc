// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal restore`: a sealed checkpoint becomes a running process tree again.
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/output_file.h"
#include "base/step.h"
#include "cli/criu_options.h"
#include "cli/journal.h"
#include "cli/opening/reading.h"
#include "cli/verbs/verbs.h"
#include "restore/restore.h"

namespace ckptseal {
namespace {

struct RestoreVerbOptions {
  ReadingOptions reading;
  CriuOptions criu;
  std::string pidfile;
  bool detach = false;
};

// As the shell says it of a program that a signal ended.
int exit_code_of(const ExitStatus& status) {
  return status.signal == 0 ? status.code : 128 + status.signal;
}

Status check_pidfile(const std::string& path, int sealed_fd) {
  struct stat there = {};
  struct stat sealed = {};
  const bool same = !path.empty() && stat(path.c_str(), &there) == 0 &&
                    fstat(sealed_fd, &sealed) == 0 && there.st_dev == sealed.st_dev &&
                    there.st_ino == sealed.st_ino;
  if (!same) return {};
  return Error{
      Code::usage,
      fmt::format("--pidfile {} is the checkpoint, which it would replace; name another file.",
                  path),
      0};
}

// Until its tasks run, and whoever wants to knows. Fills in the entry as it learns more. From when
// there is something to take back, signals wait.
Result<Outcome> start_process(const Globals& globals, const RestoreVerbOptions& options,
                              Console& console, JournalEntry& entry, EndingSignals& signals) {
  RestoreJob job;
  CKPTSEAL_ASSIGN(job.criu, criu_setup(CriuVerb::restore, options.criu, {}));
  CKPTSEAL_ASSIGN(auto reading,
                  Reading::prepare(globals, options.reading, Reading::Key::host_by_default));
  if (!reading->has_identities()) {
    return Error{Code::failed,
                 "There is nothing to restore it with: this host is not provisioned; run "
                 "'ckpt-seal provision', or say --identity passphrase.",
                 0};
  }
  reached("restore: the file is open");
  job.read = reading->job();
  CKPTSEAL_TRY(signals.hold());
  job.criu.signals = &signals;
  reading->watch(signals);
  CKPTSEAL_TRY(check_pidfile(options.pidfile, job.read.sealed_fd));
  // What cannot be written is found out while nothing runs yet.
  std::optional<OutputFile> pidfile;
  if (!options.pidfile.empty()) {
    CKPTSEAL_ASSIGN(OutputFile file,
                    OutputFile::create(options.pidfile, 0644, OutputFile::Replace::allowed));
    pidfile.emplace(std::move(file));
  }
  HelperEvents events = reading->events(console);
  events.authentic = [&](const proto::Authentic& what) { entry.set_authentic(what); };
  Result<Restored> restored = restore(job, events);
  if (!restored.ok()) return with_subject(reading->name(), std::move(restored).error());
  const HelperReport& report = restored.value().report;
  const pid_t task = restored.value().first_task;
  if (report.has_opened_slot()) entry.opened_slot = report.opened_slot();
  entry.pid = task;
  if (!options.detach) CKPTSEAL_TRY(hold_signals());
  if (pidfile) {
    CKPTSEAL_TRY(write_full(pidfile->fd(), as_bytes(fmt::format("{}\n", task))));
    CKPTSEAL_TRY(pidfile->commit());
  }
  reading->remember_opening(report);
  Outcome outcome;
  outcome.stands = true;
  outcome.json = describe_file(report);
  outcome.json["pid"] = task;
  outcome.json["detached"] = options.detach;
  return outcome;
}

Result<Outcome> restore_and_record(const Globals& globals, const RestoreVerbOptions& options,
                                   Console& console) {
  CKPTSEAL_ASSIGN(const Journal journal, Journal::open(globals.state));
  JournalEntry entry;
  entry.verb = "restore";
  entry.path = options.reading.file;
  EndingSignals signals;
  Result<Outcome> started = start_process(globals, options, console, entry, signals);
  if (!started.ok()) entry.ended_by = signal_behind(started.error(), signals);
  console.end_by(entry.ended_by);
  journal.record(entry, started, console);
  if (!started.ok() || options.detach) return started;
  CKPTSEAL_ASSIGN(const ExitStatus ended, stay_with(*entry.pid));
  started.value().exit_code = exit_code_of(ended);
  return started;
}

}  // namespace

void add_restore_verb(const Verb& command) {
  auto options = std::make_shared<RestoreVerbOptions>();
  const Verb verb = command.verb("restore", "Run what was dumped, on a host it was sealed for",
                                 "ckpt-seal restore --detach service.cks");
  add_reading_options(verb, options->reading, false);
  add_cap_option(verb, options->reading);
  verb.flag("-d,--detach", options->detach, "Return once it runs; else wait for its end");
  verb.option("--pidfile", options->pidfile, "Write the number of its first process there")
      .value_name("FILE");
  add_criu_options(verb, options->criu);
  verb.does([options](const Globals& globals, Console& c) {
    return restore_and_record(globals, *options, c);
  });
}

}  // namespace ckptseal
