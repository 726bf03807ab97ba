// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal shred`: nobody opens this file any more. docs/recipients.md.
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "cli/journal.h"
#include "cli/opening/reading.h"
#include "cli/verbs/verbs.h"
#include "sealing/header_change.h"
#include "sealing/sealed_file.h"

namespace ckptseal {
namespace {

struct ShredOptions {
  std::string file;
  bool yes = false;
  bool dry_run = false;
};

constexpr const char* meaning =
    "Copies, snapshots and backups of the file still open, and so may what the storage has kept of "
    "the bytes that were written over.";

Status confirm(const ShredOptions& options) {
  if (options.yes || options.dry_run) return {};
  if (isatty(STDIN_FILENO) == 0) {
    return Error{
        Code::usage,
        fmt::format("After this nobody can open {}; if that is meant, say --yes.", options.file),
        0};
  }
  fmt::print(stderr,
             "After this nobody can open {}. Type yes in capital letters to go on: ", options.file);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "YES") return {};
  return Error{Code::failed, "Nothing was destroyed.", 0};
}

// For the journal alone: what is wrong with them keeps no file from being destroyed.
std::vector<TrustedOrigin> trusted_origins(const Globals& globals) {
  const Result<HostAccess> host = HostAccess::open(globals);
  if (!host.ok()) return {};
  Result<std::vector<TrustedOrigin>> origins = host.value().trust_store().origins();
  return origins.ok() ? std::move(origins).value() : std::vector<TrustedOrigin>();
}

Result<Outcome> destroy(const Globals& globals, const ShredOptions& options, Console& console,
                        JournalEntry& entry) {
  CKPTSEAL_TRY(confirm(options));
  CKPTSEAL_ASSIGN(const UniqueFd fd, open_to_change(options.file));
  HelperEvents events;
  events.authentic = [&](const proto::Authentic& what) { entry.set_authentic(what); };
  events.warning = [&](const std::string& clause) {
    console.warn(with_subject(options.file, Error{Code::failed, clause, 0}).message);
  };
  const ShredJob job{fd.get(), options.dry_run, trusted_origins(globals)};
  if (Status done = shred_in_helper(job, events); !done.ok()) {
    return with_subject(options.file, done.error());
  }
  Outcome outcome;
  outcome.json = {{"file", options.file}, {"dry_run", options.dry_run}};
  outcome.text = fmt::format("{} the slots of {}.\n",
                             options.dry_run ? "Would destroy" : "Destroyed", options.file);
  console.note(meaning);
  return outcome;
}

Result<Outcome> shred(const Globals& globals, const ShredOptions& options, Console& console) {
  JournalEntry entry;
  entry.verb = "shred";
  entry.path = options.file;
  if (options.dry_run) return destroy(globals, options, console, entry);
  CKPTSEAL_ASSIGN(const Journal journal, Journal::open(globals.state));
  Result<Outcome> done = destroy(globals, options, console, entry);
  journal.record(entry, done, console);
  return done;
}

}  // namespace

void add_shred_verb(const Verb& command) {
  auto options = std::make_shared<ShredOptions>();
  const Verb verb =
      command.verb("shred", "Destroy the slots of a sealed file: nobody opens it again",
                   "ckpt-seal shred backup.cks");
  verb.option("FILE", options->file, "Sealed file").required();
  verb.flag("--yes", options->yes, "Do not ask");
  verb.flag("--dry-run", options->dry_run, "Check that it is a sealed file, destroy nothing");
  verb.does([options](const Globals& globals, Console& c) { return shred(globals, *options, c); });
}

}  // namespace ckptseal
