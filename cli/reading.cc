// SPDX-License-Identifier: Apache-2.0
//
// Options, input, trust and identities of the verbs that read a sealed file.
#include "cli/reading.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file_lock.h"
#include "base/output_file.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/public_key/private_key.h"
#include "keymgr/recovery/recovery.h"
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

void add_reading_options(const Verb& verb, ReadingOptions& options, bool opens) {
  verb.option("FILE", options.file, "Sealed file, - for standard input").required();
  add_key_options(verb, options, opens);
}

void add_key_options(const Verb& verb, ReadingOptions& options, bool opens) {
  verb.option(
          "--identity", options.identities,
          "What opens it: tpm (this host's, the default), passphrase, recovery, or the path of a "
          "key file (PKCS#8)")
      .value_name("WHO");
  verb.option("--passphrase-fd", options.passphrase_fd,
              "Read passphrase, password or recovery key from this descriptor instead of the "
              "terminal")
      .value_name("N");
  verb.option("--max-memory", options.max_memory_mib,
              "Most memory that a passphrase may need (default: half of the machine's, at most "
              "1024)")
      .value_name("MIB");
  verb.option("--trust", options.trusted_records, "Also trust this host record as origin")
      .value_name("RECORD");
  verb.option("--fingerprint", options.fingerprint, "The record of --trust must have this one")
      .value_name("HEX");
  if (opens) {
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
  CKPTSEAL_TRY(reading->add_trust(options));
  CKPTSEAL_TRY(reading->add_identities(options, key));
  reading->job_.allow_unsigned = options.allow_unsigned;
  return reading;
}

Status Reading::open_input(const std::string& file) {
  name_ = file == "-" ? "standard input" : file;
  UniqueFd input;
  if (file == "-") {
    input.reset(dup(STDIN_FILENO));
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
    CKPTSEAL_ASSIGN(TrustedOrigin origin, trusted_origin(record));
    job_.origins.push_back(std::move(origin));
  }
  return {};
}

Status Reading::add_identities(const ReadingOptions& options, Key key) {
  bool tpm = options.identities.empty() && key == Key::host_by_default && host_->provisioned();
  bool passphrase = false;
  bool recovery = false;
  for (const std::string& identity : options.identities) {
    if (identity == "tpm") {
      tpm = true;
    } else if (identity == "passphrase") {
      passphrase = true;
    } else if (identity == "recovery") {
      recovery = true;
    } else {
      CKPTSEAL_TRY(add_key_file(identity));
    }
  }
  if (key == Key::none || (!tpm && !passphrase && !recovery && key_files_.empty())) return {};
  std::string tcti;
  if (tpm) {
    CKPTSEAL_ASSIGN(TpmSession session, host_->start_tpm());
    tcti = session.tcti();
    tpm_.emplace(std::move(session));
  }
  CKPTSEAL_TRY(open_source(options, passphrase || recovery));
  const std::uint32_t limit_kib = options.max_memory_mib > 0
                                      ? options.max_memory_mib * 1024
                                      : default_memory_limit_kib(machine_memory());
  job_.identities = [this, tpm, tcti, passphrase, recovery,
                     limit_kib]() -> Result<std::vector<std::unique_ptr<Identity>>> {
    std::vector<std::unique_ptr<Identity>> out;
    if (tpm) out.push_back(host_->tpm_identity(tcti));
    for (const KeyFile& file : key_files_) {
      CKPTSEAL_ASSIGN(PublicKeyIdentity identity, read_key(file));
      out.push_back(std::make_unique<PublicKeyIdentity>(std::move(identity)));
    }
    if (recovery) {
      CKPTSEAL_ASSIGN(const Secret text, source_->read("Recovery key", false));
      CKPTSEAL_ASSIGN(Secret secret, parse_recovery_text(text.view()));
      out.push_back(std::make_unique<RecoveryIdentity>(std::move(secret)));
    }
    if (passphrase) {
      CKPTSEAL_ASSIGN(Secret secret, source_->read("Passphrase", false));
      out.push_back(std::make_unique<PassphraseIdentity>(std::move(secret), limit_kib));
    }
    return out;
  };
  return {};
}

// A word that is none of the known is a slip, and no file in the current folder.
Status Reading::add_key_file(const std::string& path) {
  if (path.find_first_of("/.") == std::string::npos) {
    return Error{
        Code::usage,
        fmt::format("--identity takes tpm, passphrase, recovery or the path of a key file, "
                    "not {}; see --help.",
                    path),
        0};
  }
  CKPTSEAL_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY, fmt::format("the key file {}", path)));
  job_.descriptors.push_back(fd.get());
  key_files_.push_back({path, std::move(fd)});
  return {};
}

// Whether a key file wants a password is known in the helper alone: without `needed` it is no
// failure that there is nowhere to ask.
Status Reading::open_source(const ReadingOptions& options, bool needed) {
  if (!needed && key_files_.empty()) return {};
  Result<PassphraseSource> source = PassphraseSource::open(options.passphrase_fd);
  if (!source.ok()) {
    return needed || options.passphrase_fd >= 0 ? Status(source.error()) : Status();
  }
  source_ = std::move(source).value();
  job_.descriptors.push_back(source_->fd());
  return {};
}

// In the helper.
Result<PublicKeyIdentity> Reading::read_key(const KeyFile& file) const {
  constexpr std::size_t largest_key_file = 1 << 16;
  const std::string what = fmt::format("The key file {}", file.path);
  CKPTSEAL_ASSIGN(Secret content, Secret::make(largest_key_file));
  CKPTSEAL_ASSIGN(const std::size_t size, pread_full(file.fd.get(), content.mutable_view(), 0));
  if (size == 0 || size == largest_key_file) {
    return Error{Code::integrity,
                 fmt::format("{} is empty or far too long for a private key; name another.", what),
                 0};
  }
  content.shrink(size);
  CKPTSEAL_ASSIGN(const bool encrypted, needs_password(content, what));
  if (!encrypted) return read_private_key(content, nullptr, what);
  if (!source_) {
    return Error{Code::failed,
                 fmt::format("{} is encrypted and there is no terminal to ask for its password on; "
                             "give it with --passphrase-fd.",
                             what),
                 0};
  }
  CKPTSEAL_ASSIGN(const Secret password,
                  source_->read(fmt::format("Password of {}", file.path), false));
  return read_private_key(content, &password, what);
}

HelperEvents Reading::events(Console& console) {
  HelperEvents events;
  events.progress = [&console](std::uint64_t done, std::uint64_t total) {
    console.progress(done, total);
  };
  events.warning = [this, &console](const std::string& clause) {
    console.warn(with_subject(name_, Error{Code::failed, clause, 0}).message);
  };
  events.tpm_done = [this] { tpm_.reset(); };
  return events;
}

std::string hex_of(const std::string& bytes) { return to_hex(as_bytes(bytes)); }

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
