// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal rewrap`: who can open a sealed file changes, the data does not. docs/recipients.md.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/journal.h"
#include "cli/opening/reading.h"
#include "cli/sealing/named_slots.h"
#include "cli/sealing/recipients.h"
#include "cli/sealing/sealing.h"
#include "cli/verbs/verbs.h"
#include "sealing/sealed_file.h"

namespace ckptseal {
namespace {

struct RewrapOptions {
  ReadingOptions reading;
  std::vector<std::string> files;
  std::vector<std::string> add;
  unsigned threshold = 1;  // of those
  IssuerOptions issuers;   // for those
  std::string policy;      // for those
  std::vector<std::string> remove;
  std::vector<std::string> replace;  // SLOT=RECIPIENT
  int new_passphrase_fd = -1;
  int recovery_fd = STDOUT_FILENO;
  bool only_passphrase = false;
  bool unsigned_change = false;
  bool mix_classical = false;
  bool dry_run = false;
};

// --replace is a removal and an addition of one step, like all that one command says.
Status split_replacements(RewrapOptions& options) {
  for (const std::string& both : options.replace) {
    const std::size_t at = both.find('=');
    if (at == 0 || at == std::string::npos || at + 1 == both.size()) {
      return Error{
          Code::usage,
          fmt::format("--replace takes SLOT=RECIPIENT, not {}; see 'ckpt-seal inspect' for "
                      "the slots.",
                      both),
          0};
    }
    options.remove.push_back(both.substr(0, at));
    options.add.push_back(both.substr(at + 1));
  }
  return {};
}

Status check(const RewrapOptions& options) {
  const auto is_number = [](const std::string& slot) {
    return slot.find_first_not_of("0123456789") == std::string::npos;
  };
  if (options.files.size() > 1 &&
      std::any_of(options.remove.begin(), options.remove.end(), is_number)) {
    return Error{Code::usage,
                 "The number of a slot stands for another one in each file; name its recipient, or "
                 "change one file at a time.",
                 0};
  }
  return {};
}

constexpr std::string_view not_undone =
    "What was removed can still open an earlier copy or snapshot of the file, and whoever opened "
    "it "
    "before may have kept its key; only sealing the content anew revokes.";

Status write_change(int fd, const std::string& file, const proto::HeaderChange& change,
                    bool printed_recovery) {
  const Status written = write_header(fd, change);
  if (written.ok()) return {};
  return Error{written.error().code,
               fmt::format("{}: {} It opens for its recipients from before or for those from "
                           "after; run 'ckpt-seal rewrap' on it to see the change through{}.",
                           file, written.error().message,
                           printed_recovery ? ", and keep the recovery key that was printed" : ""),
               written.error().cause};
}

// Nothing of a file that was changed is tried before that is believed.
Result<std::string> who_vouches(const HostAccess& host, const RewrapJob& job,
                                const HelperReport& report) {
  if (all_zero(job.host)) {
    return std::string(
        report.origin().empty() ? "" : "From now on it opens only with --allow-unsigned.");
  }
  if (!same_bytes(as_bytes(report.origin()), job.host)) {
    return std::string(
        "Whoever opens it from now on has to trust this host as origin, too ('ckpt-seal host trust "
        "RECORD --as origin').");
  }
  CKPTSEAL_ASSIGN(const bool outgrown, host.trust_store().outgrown_since(report.created()));
  return std::string(outgrown ? "Whoever trusts this host by an earlier record alone has to trust "
                                "the present one ('ckpt-seal host export', and there 'ckpt-seal "
                                "host trust RECORD --as origin')."
                              : "");
}

// One file, from its old recipients to its new ones. Fills in the entry as it learns more.
Result<Json> rewrap_one(const Globals& globals, const RewrapOptions& options,
                        const std::string& file, Console& console, JournalEntry& entry) {
  ReadingOptions reading_options = options.reading;
  reading_options.file = file;
  CKPTSEAL_ASSIGN(const auto reading,
                  Reading::prepare(globals, reading_options, Reading::Key::host_by_default,
                                   Reading::Access::change));
  if (!reading->has_identities()) {
    return Error{Code::usage,
                 "To change its slots a sealed file has to be opened; name what opens it with "
                 "--identity.",
                 0};
  }
  const HostAccess& host = reading->host();
  CKPTSEAL_ASSIGN(Recipients added, Recipients::find(host, options.add, options.threshold,
                                                     options.issuers, options.policy));
  if (added.limits() != UseLimits{}) {
    return Error{Code::usage,
                 fmt::format("The policy {} has a limit, and those of a sealed file never change: "
                             "take it out of the file.",
                             options.policy),
                 0};
  }
  if (const Status kinds = added.check_kinds(); !options.mix_classical && !kinds.ok()) {
    return with_subject(file, kinds.error());
  }
  entry.recipients = added.records();
  added.warn(console, true);
  if (added.have_recovery()) CKPTSEAL_TRY(check_recovery_fd(globals.json, options.recovery_fd));
  CKPTSEAL_TRY(added.open(options.new_passphrase_fd));
  std::shared_ptr<RecoveryPaper> paper;
  if (added.have_recovery() && !options.dry_run) {
    CKPTSEAL_ASSIGN(paper, RecoveryPaper::make(options.recovery_fd));
  }
  RewrapJob job;
  job.read = reading->job();
  for (const std::string& name : options.remove) {
    CKPTSEAL_ASSIGN(SlotRemoval removal, slots_named(host, name));
    job.removals.push_back(std::move(removal));
  }
  if (!added.empty()) {
    job.recipients = added.factory(paper);
    std::vector<int> more = added.descriptors();
    if (paper) {
      job.announce = [&paper] { return paper->print(); };
      const std::vector<int> for_paper = paper->descriptors();
      more.insert(more.end(), for_paper.begin(), for_paper.end());
    }
    job.read.descriptors.insert(job.read.descriptors.end(), more.begin(), more.end());
  }
  if (!options.unsigned_change && host.require_signing().ok()) {
    job.host = host.record().identity();
  }
  job.now = now_seconds();
  job.allow_unsigned = options.unsigned_change;
  job.only_passphrases = options.only_passphrase;
  job.mix_classical = options.mix_classical;
  HelperEvents events = reading->events(console);
  events.sign = [&](const Digest& digest) { return host.sign(digest); };
  events.authentic = [&](const proto::Authentic& what) { entry.set_authentic(what); };
  const Result<HelperReport> report = rewrap_in_helper(job, events);
  if (!report.ok()) {
    const std::string in_vain = paper ? paper->in_vain() : "";
    if (!in_vain.empty()) console.warn(in_vain);
    return with_subject(file, report.error());
  }
  std::string note;
  if (report.value().header_change().new_slots()) {
    CKPTSEAL_ASSIGN(note, who_vouches(host, job, report.value()));
  }
  const bool changes = report.value().has_header_change();
  if (changes && !options.dry_run) {
    CKPTSEAL_TRY(
        write_change(job.read.sealed_fd, file, report.value().header_change(), paper != nullptr));
  }
  entry.opened_slot = report.value().opened_slot();
  reading->remember_opening(report.value());
  return Json{{"file", file},
              {"checkpoint_id", hex_of(report.value().checkpoint_id())},
              {"changed", changes},
              {"generation", report.value().generation()},
              {"slots", report.value().slot_count()},
              {"added", added.names()},
              {"threshold", added.threshold()},
              {"removed", options.remove},
              {"note", std::move(note)}};
}

// With a line in the journal, if there is one, unless the file was as it should be.
Result<Json> rewrap_and_record(const Globals& globals, const RewrapOptions& options,
                               const std::string& file, Console& console,
                               const std::optional<Journal>& journal) {
  JournalEntry entry;
  entry.verb = "rewrap";
  entry.path = file;
  entry.removed = options.remove;
  Result<Json> done = rewrap_one(globals, options, file, console, entry);
  if (journal && (!done.ok() || done.value()["changed"].get<bool>())) {
    journal->record(entry, done, console);
  }
  return done;
}

// Each file by itself: one that cannot be changed keeps no other from it.
Result<Outcome> rewrap(const Globals& globals, RewrapOptions options, Console& console) {
  CKPTSEAL_TRY(split_replacements(options));
  CKPTSEAL_TRY(check(options));
  std::optional<Journal> journal;
  if (!options.dry_run) {
    CKPTSEAL_ASSIGN(journal, Journal::open(globals.state));
  }
  Outcome outcome;
  outcome.json["dry_run"] = options.dry_run;
  Json& files = outcome.json["files"] = Json::array();
  std::vector<Error> failures;
  std::set<std::string> notes;  // each once, whatever the number of files
  for (const std::string& file : options.files) {
    const Result<Json> done = rewrap_and_record(globals, options, file, console, journal);
    if (!done.ok()) {
      failures.push_back(done.error());
      if (options.files.size() > 1) console.warn(done.error().message);
      continue;
    }
    Json file_json = done.value();
    notes.insert(file_json["note"].get<std::string>());
    file_json.erase("note");
    files.push_back(std::move(file_json));
    outcome.text += fmt::format("{}: {}, {} slots.\n", file,
                                !done.value()["changed"].get<bool>() ? "nothing to change"
                                : options.dry_run                    ? "would change"
                                                                     : "changed",
                                done.value()["slots"].get<int>());
  }
  if (failures.size() == 1 && options.files.size() == 1) return failures.front();
  if (!failures.empty()) {
    return Error{failures.front().code,
                 fmt::format("{} of {} files were not changed, as said above; the others were.",
                             failures.size(), options.files.size()),
                 failures.front().cause};
  }
  for (const std::string& note : notes) {
    if (!note.empty() && !options.dry_run) console.note(note);
  }
  if (!options.remove.empty() && !options.dry_run) console.note(std::string(not_undone));
  return outcome;
}

}  // namespace

void add_rewrap_verb(const Verb& command) {
  auto options = std::make_shared<RewrapOptions>();
  const Verb verb = command.verb("rewrap", "Change who can open a sealed file",
                                 "ckpt-seal rewrap backup.cks --add host-c --remove host-b");
  verb.option("FILE", options->files, "Sealed files, changed in place").required();
  verb.option("--add", options->add, "Who else can open it, as for --to").value_name("RECIPIENT");
  add_threshold_option(verb, options->threshold);
  add_issuer_options(verb, options->issuers);
  add_policy_option(verb, options->policy);
  verb.option("--remove", options->remove,
              "Whose slot goes: a recipient, the identity of a host, or a slot's number")
      .value_name("SLOT");
  verb.option("--replace", options->replace, "Remove one and add another in its place")
      .value_name("SLOT=RECIPIENT");
  add_key_options(verb, options->reading);
  verb.option("--new-passphrase-fd", options->new_passphrase_fd,
              "Read PIN and passphrase that are added from this descriptor, a line each")
      .value_name("N")
      .open_descriptor();
  verb.option("--recovery-fd", options->recovery_fd,
              "Print the key of --add recovery to this descriptor instead of stdout")
      .value_name("N")
      .open_descriptor();
  verb.flag("--only-passphrase", options->only_passphrase,
            "Allow a file that only a passphrase opens");
  verb.flag("--unsigned", options->unsigned_change,
            "Change it without a signature of this host; only --allow-unsigned opens it then");
  add_mixture_option(verb, options->mix_classical);
  verb.flag("--dry-run", options->dry_run, "Open it and check everything, change nothing");
  verb.does([options](const Globals& globals, Console& c) { return rewrap(globals, *options, c); });
}

}  // namespace ckptseal
