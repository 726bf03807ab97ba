// SPDX-License-Identifier: Apache-2.0
//
// Options, input, trust and identities of the verbs that read a sealed file.
#include "cli/opening/reading.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file_lock.h"
#include "base/output_file.h"
#include "base/utc_time.h"
#include "cli/opening/opened.h"
#include "cli/opening/use_counting.h"
#include "keymgr/passphrase/passphrase.h"
#include "sealing/sealed_file.h"

namespace ckptseal {
namespace {

constexpr const char* spool_folder = "/var/tmp";
constexpr std::chrono::seconds patience_for_others(5);

Status copy_all(int from, int to) {
  Bytes buffer(1 << 20);
  for (;;) {
    CKPTSEAL_ASSIGN(const std::size_t n, read_full(from, buffer));
    if (n == 0) return {};
    CKPTSEAL_TRY(write_full(to, ByteView(buffer).first(n)));
  }
}

}  // namespace

void add_reading_options(const Verb& verb, ReadingOptions& options, bool unsigned_too) {
  verb.option("FILE", options.file, "Sealed file, - for standard input").required();
  add_key_options(verb, options, unsigned_too);
}

void add_cap_option(const Verb& verb, ReadingOptions& options) {
  verb.option(
          "--cap-pcr", options.cap_pcr,
          "Extend this PCR once the TPM has released the key: it does not again before the next "
          "boot")
      .value_name("N")
      .between(0, 15);
}

void add_key_options(const Verb& verb, ReadingOptions& options, bool unsigned_too) {
  verb.option(
          "--identity", options.identities,
          "What opens it: self (this host's TPM or token, the default), passphrase, recovery, a "
          "pkcs11: URI, or the path of a key file (PKCS#8)")
      .value_name("WHO");
  verb.option("--passphrase-fd", options.passphrase_fd,
              "Read passphrase, password, PIN or recovery key from this descriptor instead of "
              "the terminal")
      .value_name("N")
      .open_descriptor();
  verb.option("--max-memory", options.max_memory_mib,
              "Most memory that a passphrase may need (default: half of the machine's, at most "
              "1024)")
      .value_name("MIB")
      .between(1, 4096);
  verb.option("--approver", options.approver,
              "Where the policy wants an online approval: a command (run by /bin/sh, without a "
              "terminal) that reads a request and writes the answer, such as 'ssh authority "
              "ckpt-seal authority answer ...'")
      .value_name("COMMAND");
  verb.option("--approver-timeout", options.approver_timeout, "How long it may take")
      .value_name("SECONDS")
      .shows_default()
      .between(1, 3600);
  verb.option("--trust", options.trusted_records, "Also trust this host record as origin")
      .value_name("RECORD");
  verb.option("--fingerprint", options.fingerprint, "The record of --trust must have this one")
      .value_name("HEX");
  if (unsigned_too) {
    verb.flag("--allow-unsigned", options.allow_unsigned, "Accept a file for which nobody vouches");
  }
}

Result<UniqueFd> open_to_change(const std::string& file) {
  const std::string what = fmt::format("the sealed file {}", file);
  struct stat info = {};
  // A folder cannot be opened to write, and what a pipe or device would do is not waited for.
  if (stat(file.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return Error{Code::usage, fmt::format("{} is not a regular file; name a sealed file.", file),
                 0};
  }
  CKPTSEAL_ASSIGN(UniqueFd fd, open_file(file, O_RDWR | O_NONBLOCK, what));
  CKPTSEAL_ASSIGN(const bool locked, lock_file(fd.get(), patience_for_others, what));
  if (locked) return fd;
  return Error{Code::failed,
               fmt::format("{}: another ckpt-seal is changing it; try again later.", file), 0};
}

Result<std::unique_ptr<Reading>> Reading::prepare(const Globals& globals,
                                                  const ReadingOptions& options, Key key,
                                                  Access access) {
  std::unique_ptr<Reading> reading(new Reading);  // NOLINT: the constructor is private
  CKPTSEAL_TRY(access == Access::change ? reading->open_for_change(options.file)
                                        : reading->open_input(options.file));
  CKPTSEAL_ASSIGN(reading->host_, HostAccess::open(globals));
  reading->event_log_ = globals.event_log;
  CKPTSEAL_TRY(reading->add_trust(options));
  CKPTSEAL_TRY(reading->add_identities(options, key));
  reading->job_.allow_unsigned = options.allow_unsigned;
  reading->job_.check_time = check_not_after;
  reading->approver_.command = options.approver;
  reading->approver_.timeout = std::chrono::seconds(options.approver_timeout);
  return reading;
}

Status Reading::open_input(const std::string& file) {
  name_ = file == "-" ? "standard input" : file;
  UniqueFd input;
  if (file == "-") {
    input.reset(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  } else {
    CKPTSEAL_ASSIGN(input, open_file(file, O_RDONLY, fmt::format("the sealed file {}", file)));
  }
  struct stat info = {};
  if (fstat(input.get(), &info) != 0) return system_error("Cannot read the input", errno);
  if (S_ISDIR(info.st_mode)) {
    return Error{Code::usage, fmt::format("{} is a folder; name a sealed file.", name_), EISDIR};
  }
  if (S_ISREG(info.st_mode) && lseek(input.get(), 0, SEEK_CUR) == 0) {
    fd_ = std::move(input);
  } else {
    CKPTSEAL_ASSIGN(fd_, make_spool_file(spool_folder));
    CKPTSEAL_TRY(copy_all(input.get(), fd_.get()));
  }
  job_.sealed_fd = fd_.get();
  return {};
}

Status Reading::open_for_change(const std::string& file) {
  name_ = file;
  CKPTSEAL_ASSIGN(fd_, open_to_change(file));
  job_.sealed_fd = fd_.get();
  return {};
}

Status Reading::add_trust(const ReadingOptions& options) {
  CKPTSEAL_ASSIGN(job_.origins, host_->trust_store().origins());
  if (!options.fingerprint.empty() && options.trusted_records.size() != 1) {
    return Error{Code::usage, "--fingerprint goes with one --trust RECORD; give both.", 0};
  }
  for (const std::string& path : options.trusted_records) {
    CKPTSEAL_ASSIGN(const SignedHostRecord record, read_host_record_file(path, now_seconds()));
    if (!options.fingerprint.empty()) {
      CKPTSEAL_ASSIGN(const Digest pinned, parse_fingerprint(options.fingerprint));
      if (pinned != record.fingerprint()) {
        return Error{
            Code::untrusted,
            fmt::format("{} has the fingerprint {}, not the one that was named; get the right "
                        "record.",
                        path, to_hex(record.fingerprint())),
            0};
      }
    }
    CKPTSEAL_TRY(add_origin(job_.origins, record));
  }
  return {};
}

Status Reading::add_identities(const ReadingOptions& options, Key key) {
  std::vector<std::string> names = options.identities;
  if (names.empty() && key == Key::host_by_default && host_->provisioned()) names = {"self"};
  CKPTSEAL_ASSIGN(Identities identities, Identities::find(*host_, names, options.file));
  if (key == Key::none || identities.empty()) return {};
  if (!options.approver.empty()) identities.ask_online();
  if (options.cap_pcr >= 0) CKPTSEAL_TRY(identities.cap(static_cast<unsigned>(options.cap_pcr)));
  CKPTSEAL_TRY(identities.open(options.passphrase_fd));
  identities_.emplace(std::move(identities));
  job_.identities =
      identities_->factory(options.max_memory_mib > 0 ? options.max_memory_mib * 1024
                                                      : default_memory_limit_kib(machine_memory()));
  job_.descriptors = identities_->descriptors();
  return {};
}

HelperEvents Reading::events(Console& console) {
  HelperEvents events;
  events.progress = [&console](std::uint64_t done, std::uint64_t total) {
    console.progress(done, total);
  };
  events.warning = [this, &console](const std::string& clause) {
    console.warn(with_subject(name_, Error{Code::failed, clause, 0}).message);
  };
  events.approve = [this](ByteView request) { return ask_approver(approver_, request); };
  events.tpm_done = [this] {
    if (identities_) identities_->stop_tpm();
  };
  events.count_use = [this](const UseRequest& use) { return count_use(*host_, use); };
  return events;
}

void Reading::remember_opening(const HelperReport& report) const {
  CheckpointId id{};
  if (!identities_ || report.checkpoint_id().size() != id.size()) return;
  std::optional<PcrState> pcrs = identities_->released_in();
  if (!pcrs) return;
  std::copy(report.checkpoint_id().begin(), report.checkpoint_id().end(), id.begin());
  ckptseal::remember_opening(host_->state(), id, {now_seconds(), *std::move(pcrs), std::nullopt},
                             event_log_);
}

Json describe_file(const HelperReport& report) {
  Json json;
  json["checkpoint_id"] = hex_of(report.checkpoint_id());
  json["content"] = report.content();
  json["cipher"] = report.suite();
  json["exclusive"] = report.exclusive();
  json["size"] = report.file_size();
  if (report.chunk_size() != 0) json["chunk_size"] = report.chunk_size();
  if (report.created() != 0) json["created"] = utc_time(report.created());
  json["origin"] = report.origin().empty() ? Json() : Json(hex_of(report.origin()));
  json["origin_name"] = report.origin_name().empty() ? Json() : Json(report.origin_name());
  json["signature_verified"] = report.signature_verified();
  return json;
}

}  // namespace ckptseal
