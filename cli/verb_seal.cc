// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal seal`: any stream, file or folder becomes a sealed file.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/output_file.h"
#include "base/process.h"
#include "cli/host_access.h"
#include "cli/passphrase_source.h"
#include "cli/reading.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/tpm2/slot.h"
#include "sealing/jobs.h"
#include "sealing/tree.h"

namespace ckptseal {
namespace {

struct SealOptionsOfUser {
  std::string input = "-";
  std::string output = "-";
  std::vector<std::string> to;
  std::string cipher = "aes-256-gcm";
  int passphrase_fd = -1;
  bool exclusive = false;
  bool unsigned_file = false;
  bool force = false;
  bool allow_empty = false;
  bool only_passphrase = false;
  bool dry_run = false;
};

struct Recipients {
  std::vector<SignedHostRecord> records;
  bool passphrase = false;
};

Result<Recipients> find_recipients(const HostAccess& host, const SealOptionsOfUser& options) {
  Recipients out;
  const TrustStore store = host.trust_store();
  std::vector<std::string> to = options.to;
  if (to.empty()) to.emplace_back("self");
  for (const std::string& name : to) {
    if (name == "passphrase") {
      out.passphrase = true;
      continue;
    }
    if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
    CKPTSEAL_ASSIGN(SignedHostRecord record, store.find_recipient(name));
    const bool twice = std::any_of(
        out.records.begin(), out.records.end(),
        [&](const SignedHostRecord& other) { return other.fingerprint() == record.fingerprint(); });
    if (!twice) out.records.push_back(std::move(record));
  }
  if (out.records.empty() && !options.only_passphrase) {
    return Error{
        Code::usage,
        "Only a passphrase would open this file, and passphrases can be guessed; name a host "
        "with --to as well, or say --only-passphrase.",
        0};
  }
  return out;
}

void warn_about(const Recipients& recipients, Console& console) {
  for (const SignedHostRecord& signed_record : recipients.records) {
    const HostRecord& record = signed_record.record();
    if (record.software) {
      console.warn(
          fmt::format("the TPM of {} is a software one: it protects nothing against root of "
                      "that host.",
                      record.name));
    }
    if (record.policy_anchor.all_zero()) {
      console.warn(fmt::format("all selected PCRs of {} are zero: its state was not measured.",
                               record.name));
    }
    if (!recipients.passphrase) {
      console.warn(
          fmt::format("an update of the firmware or kernel of {} locks it out of this file; "
                      "add --to passphrase for recovery.",
                      record.name));
    }
  }
}

// The input, whatever it is: a descriptor that ends where the content ends.
struct Input {
  UniqueFd fd;
  std::uint64_t size = 0;  // 0: not known
  Content content = Content::stream;
  std::optional<Child> archiver;  // makes the archive of a folder
};

// In a child: its exit code says whether the archive is whole.
int run_archiver(int folder, Pipe& pipe) {
  pipe.read_end.reset();
  const Result<TreeWarnings> written = write_tree(folder, pipe.write_end.get());
  if (!written.ok()) {
    fmt::print(stderr, "ckpt-seal: {}\n", written.error().message);
    return 1;
  }
  for (const std::string& warning : written.value()) {
    fmt::print(stderr, "ckpt-seal: warning: {}\n", warning);
  }
  return 0;
}

Result<Input> archive_folder(UniqueFd folder) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  Input input;
  input.content = Content::tree;
  CKPTSEAL_ASSIGN(Child archiver, Child::fork([&] { return run_archiver(folder.get(), pipe); }));
  input.archiver = std::move(archiver);
  input.fd = std::move(pipe.read_end);
  return input;
}

Result<Input> open_input(const std::string& path) {
  Input input;
  if (path == "-") {
    input.fd.reset(dup(STDIN_FILENO));
  } else {
    CKPTSEAL_ASSIGN(input.fd, open_file(path, O_RDONLY, path));
  }
  struct stat info = {};
  if (fstat(input.fd.get(), &info) != 0) return system_error("Cannot read the input", errno);
  if (S_ISDIR(info.st_mode)) return archive_folder(std::move(input.fd));
  if (S_ISREG(info.st_mode)) input.size = static_cast<std::uint64_t>(info.st_size);
  return input;
}

struct Output {
  std::optional<OutputFile> file;  // none: standard output
  UniqueFd spool;
  int fd() const { return file ? file->fd() : STDOUT_FILENO; }
};

Result<Output> open_output(const SealOptionsOfUser& options) {
  Output output;
  std::string folder = "/var/tmp";
  if (options.output == "-") {
    if (isatty(STDOUT_FILENO) != 0) {
      return Error{Code::usage, "A sealed file is not for a terminal; name a file with -o.", 0};
    }
  } else {
    const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
    CKPTSEAL_ASSIGN(OutputFile file, OutputFile::create(options.output, 0666, replace));
    output.file.emplace(std::move(file));
    folder = std::filesystem::path(options.output).parent_path().string();
    if (folder.empty()) folder = ".";
  }
  CKPTSEAL_ASSIGN(output.spool, make_spool_file(folder));
  return output;
}

RecipientFactory recipient_factory(const Recipients& recipients,
                                   const std::optional<PassphraseSource>& passphrase) {
  return [&]() -> Result<std::vector<std::unique_ptr<Recipient>>> {
    std::vector<std::unique_ptr<Recipient>> out;
    for (const SignedHostRecord& signed_record : recipients.records) {
      const HostRecord& record = signed_record.record();
      out.push_back(std::make_unique<Tpm2Recipient>(
          record.storage_parent.public_area, record.policy_anchor, signed_record.fingerprint()));
    }
    if (passphrase) {
      CKPTSEAL_ASSIGN(Secret secret, passphrase->read(true));
      out.push_back(std::make_unique<PassphraseRecipient>(std::move(secret),
                                                          recommended_cost(machine_memory())));
    }
    return out;
  };
}

HelperEvents seal_events(Console& console, const HostAccess& host, Input& input) {
  HelperEvents events;
  events.progress = [&](std::uint64_t done, std::uint64_t total) { console.progress(done, total); };
  events.sign = [&](const Digest& digest) { return host.sign(digest); };
  events.input_ended = [&]() -> Status {
    if (!input.archiver) return {};
    CKPTSEAL_ASSIGN(const ExitStatus status, input.archiver->wait());
    if (status.success()) return {};
    return Error{Code::failed, "The folder could not be read as a whole; nothing was sealed.", 0};
  };
  return events;
}

SealOptions options_of_file(const SealOptionsOfUser& user, const HostAccess& host,
                            Content content) {
  SealOptions options;
  const bool aes = user.cipher == "aes-256-gcm";
  options.suite = user.exclusive
                      ? (aes ? Suite::aes_256_gcm_exclusive : Suite::chacha20_poly1305_exclusive)
                      : (aes ? Suite::aes_256_gcm : Suite::chacha20_poly1305);
  options.content = content;
  if (!user.unsigned_file) options.origin = host.record().fingerprint();
  options.created = now_seconds();
  return options;
}

Json names_of(const Recipients& recipients) {
  Json names = Json::array();
  for (const auto& record : recipients.records) names.push_back(record.record().name);
  if (recipients.passphrase) names.push_back("passphrase");
  return names;
}

Outcome describe(const SealOptionsOfUser& user, const Recipients& recipients,
                 const HelperReport& report) {
  Outcome outcome;
  outcome.json = {{"checkpoint_id", hex_of(report.checkpoint_id())},
                  {"content", report.content()},
                  {"content_bytes", report.content_bytes()},
                  {"cipher", report.suite()},
                  {"exclusive", report.exclusive()},
                  {"signed", !user.unsigned_file},
                  {"size", report.file_size()},
                  {"output", user.output},
                  {"recipients", names_of(recipients)}};
  if (user.output == "-") return outcome;
  std::string names;
  for (const auto& name : names_of(recipients)) {
    names += (names.empty() ? "" : ", ") + name.get<std::string>();
  }
  outcome.text = fmt::format("Sealed {} of content as {} for {}.\n",
                             human_size(report.content_bytes()), user.output, names);
  return outcome;
}

Status check_options(const SealOptionsOfUser& user, const Globals& globals) {
  if (globals.json && user.output == "-") {
    return Error{Code::usage,
                 "--json and the sealed file would mix on stdout; name a file with -o.", 0};
  }
  if (user.passphrase_fd == STDIN_FILENO && user.input == "-") {
    return Error{Code::usage,
                 "Input and passphrase would both come from stdin; use another descriptor.", 0};
  }
  return {};
}

Result<Outcome> seal(const Globals& globals, const SealOptionsOfUser& user, Console& console) {
  CKPTSEAL_TRY(check_options(user, globals));
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  if (!user.unsigned_file) CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const Recipients recipients, find_recipients(host, user));
  warn_about(recipients, console);
  if (user.dry_run) {
    Outcome outcome;
    outcome.json = {{"dry_run", true}, {"recipients", names_of(recipients)}};
    outcome.text = fmt::format("Would seal {} as {} for {} recipients.\n", user.input, user.output,
                               names_of(recipients).size());
    return outcome;
  }
  CKPTSEAL_ASSIGN(Input input, open_input(user.input));
  CKPTSEAL_ASSIGN(Output output, open_output(user));
  std::optional<PassphraseSource> passphrase;
  if (recipients.passphrase) {
    CKPTSEAL_ASSIGN(passphrase, PassphraseSource::open(user.passphrase_fd));
  }
  SealJob job;
  job.input_fd = input.fd.get();
  job.output_fd = output.fd();
  job.spool_fd = output.spool.get();
  job.input_size = input.size;
  job.refuse_empty = !user.allow_empty;
  job.options = options_of_file(user, host, input.content);
  job.recipients = recipient_factory(recipients, passphrase);
  if (passphrase) job.descriptors.push_back(passphrase->fd());
  CKPTSEAL_ASSIGN(const HelperReport report,
                  seal_in_helper(job, seal_events(console, host, input)));
  if (output.file) CKPTSEAL_TRY(output.file->commit());
  return describe(user, recipients, report);
}

}  // namespace

void add_seal_verb(const Verb& command) {
  auto user = std::make_shared<SealOptionsOfUser>();
  const Verb verb = command.verb("seal", "Seal a stream, file or folder",
                                 "ckpt-seal seal -o backup.cks --to host-b.record backup.img");
  verb.option("INPUT", user->input, "File or folder, - for standard input").shows_default();
  verb.option("-o,--output", user->output, "Sealed file, - for standard output")
      .value_name("FILE")
      .shows_default();
  verb.option("--to", user->to,
              "Who can open it: a trusted host's name, a host record file, passphrase, self "
              "(the default)")
      .value_name("RECIPIENT");
  verb.option("--cipher", user->cipher, "aes-256-gcm or chacha20-poly1305")
      .one_of({"aes-256-gcm", "chacha20-poly1305"})
      .shows_default();
  verb.option("--passphrase-fd", user->passphrase_fd,
              "Read the passphrase from this descriptor instead of the terminal")
      .value_name("N");
  verb.flag("--exclusive", user->exclusive,
            "One recipient, for ever: faster, nobody can be added later");
  verb.flag("--unsigned", user->unsigned_file, "Do not sign: nobody vouches for the file");
  verb.flag("--only-passphrase", user->only_passphrase,
            "Allow a file that only a passphrase opens");
  verb.flag("--allow-empty", user->allow_empty, "Seal an empty input, too");
  verb.flag("--force", user->force, "Replace FILE if it exists");
  verb.flag("--dry-run", user->dry_run, "Check recipients and options, seal nothing");
  verb.does([user](const Globals& globals, Console& c) { return seal(globals, *user, c); });
}

}  // namespace ckptseal
