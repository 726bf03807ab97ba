// SPDX-License-Identifier: Apache-2.0
//
// Recipients, options and output of a sealed file in the making.
#include "cli/sealing/sealing.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/utc_time.h"
#include "sealing/sealed_file.h"

namespace ckptseal {

void add_sealing_options(const Verb& verb, SealingOptions& options) {
  verb.option("--to", options.to,
              "Who can open it: a trusted host's name, a file with a host record, a certificate or "
              "a public key, a pkcs11: URI, passphrase, recovery, self (the default)")
      .value_name("RECIPIENT");
  add_threshold_option(verb, options.threshold);
  add_issuer_options(verb, options.issuers);
  add_policy_option(verb, options.policy);
  add_limit_options(verb, options.limits);
  verb.option("--cipher", options.cipher, "aes-256-gcm or chacha20-poly1305")
      .one_of({"aes-256-gcm", "chacha20-poly1305"})
      .shows_default();
  verb.option("--passphrase-fd", options.passphrase_fd,
              "Read PIN and passphrase from this descriptor, a line each, instead of the terminal")
      .value_name("N")
      .open_descriptor();
  verb.option("--recovery-fd", options.recovery_fd,
              "Print the key of --to recovery to this descriptor instead of stdout")
      .value_name("N")
      .open_descriptor();
  verb.flag("--exclusive", options.exclusive,
            "One recipient, for ever: faster, nobody can be added later");
  verb.flag("--only-passphrase", options.only_passphrase,
            "Allow a file that only a passphrase opens");
  add_mixture_option(verb, options.mix_classical);
  verb.flag("--force", options.force, "Replace FILE if it exists");
  verb.flag("--dry-run", options.dry_run, "Check recipients and options, seal nothing");
}

void add_threshold_option(const Verb& verb, unsigned& threshold) {
  verb.option("--threshold", threshold,
              "So many of these recipients are needed to open it, together")
      .value_name("K")
      .shows_default();
}

void add_issuer_options(const Verb& verb, IssuerOptions& issuers) {
  verb.option("--ca", issuers.ca,
              "Only certificates for which one of these authorities vouches (PEM, with those "
              "between)")
      .value_name("FILE");
  verb.option("--crl", issuers.crl, "None that these lists of those authorities revoke (PEM)")
      .value_name("FILE");
}

void add_policy_option(const Verb& verb, std::string& policy) {
  verb.option(
          "--policy", policy,
          "What must hold for the hosts' TPMs to release it (see 'ckpt-seal policy create'), in "
          "place of what their records say")
      .value_name("FILE");
}

void add_mixture_option(const Verb& verb, bool& mix_classical) {
  verb.flag("--mix-classical", mix_classical,
            "Allow a file for post-quantum keys and for classical ones, which undo the protection");
}

Status check_recovery_fd(bool stdout_is_taken, int recovery_fd) {
  if (recovery_fd == STDOUT_FILENO && stdout_is_taken) {
    return Error{Code::usage,
                 "The recovery key and what goes to stdout would mix; name another descriptor with "
                 "--recovery-fd.",
                 0};
  }
  return {};
}

Result<std::unique_ptr<Sealing>> Sealing::prepare(const Globals& globals,
                                                  const SealingOptions& options, Console& console) {
  if (globals.json && options.output == "-") {
    return Error{Code::usage,
                 "--json and the sealed file would mix on stdout; name a file with -o.", 0};
  }
  CKPTSEAL_ASSIGN(HostAccess host, HostAccess::open(globals));
  if (!options.unsigned_file) CKPTSEAL_TRY(host.require_signing());
  const std::vector<std::string> to =
      options.to.empty() ? std::vector<std::string>{"self"} : options.to;
  CKPTSEAL_ASSIGN(Recipients recipients,
                  Recipients::find(host, to, options.threshold, options.issuers, options.policy));
  const std::uint64_t now = now_seconds();
  CKPTSEAL_ASSIGN(const UseLimits of_options, limits_of(options.limits, now));
  CKPTSEAL_ASSIGN(const UseLimits limits, joined_limits(of_options, recipients.limits()));
  if (limits.not_after != 0 && limits.not_after <= now) {
    return Error{Code::usage,
                 fmt::format("The policy {} ended at {}: write one that has not.", options.policy,
                             utc_time(limits.not_after)),
                 0};
  }
  if (options.exclusive && options.threshold > 1) {
    return Error{Code::usage,
                 "--exclusive is for one recipient and --threshold for several; leave one of them "
                 "out.",
                 0};
  }
  if (recipients.only_passphrases() && !options.only_passphrase) {
    return Error{Code::usage,
                 "Only a passphrase would open this file, and passphrases can be guessed; name a "
                 "host with --to as well, or say --only-passphrase.",
                 0};
  }
  if (const Status kinds = recipients.check_kinds(); !options.mix_classical && !kinds.ok()) {
    return with_subject(options.output == "-" ? "The sealed file" : options.output, kinds.error());
  }
  if (recipients.have_recovery()) {
    CKPTSEAL_TRY(check_recovery_fd(globals.json || options.output == "-", options.recovery_fd));
  }
  recipients.warn(console, recipients.open_without_hosts());
  // NOLINTNEXTLINE: the constructor is private
  return std::unique_ptr<Sealing>(
      new Sealing(options, std::move(host), std::move(recipients), now, limits));
}

Status Sealing::open() {
  std::string folder = "/var/tmp";
  if (options_.output == "-") {
    if (isatty(STDOUT_FILENO) != 0) {
      return Error{Code::usage, "A sealed file is not for a terminal; name a file with -o.", 0};
    }
  } else {
    const auto replace = options_.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
    CKPTSEAL_ASSIGN(OutputFile file, OutputFile::create(options_.output, 0666, replace));
    file_.emplace(std::move(file));
    folder = std::filesystem::path(options_.output).parent_path().string();
    if (folder.empty()) folder = ".";
  }
  CKPTSEAL_ASSIGN(spool_, make_spool_file(folder));
  if (recipients_.have_recovery()) {
    CKPTSEAL_ASSIGN(paper_, RecoveryPaper::make(options_.recovery_fd));
  }
  return recipients_.open(options_.passphrase_fd);
}

std::vector<int> Sealing::descriptors() const {
  std::vector<int> out = recipients_.descriptors();
  if (!paper_) return out;
  const std::vector<int> more = paper_->descriptors();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

SealOptions Sealing::seal_options(Content content) const {
  SealOptions out;
  const bool aes = options_.cipher == "aes-256-gcm";
  out.suite = options_.exclusive
                  ? (aes ? Suite::aes_256_gcm_exclusive : Suite::chacha20_poly1305_exclusive)
                  : (aes ? Suite::aes_256_gcm : Suite::chacha20_poly1305);
  out.content = content;
  if (!options_.unsigned_file) out.origin = host_.record().identity();
  out.created = created_;
  out.limits = limits_;
  return out;
}

RecipientFactory Sealing::printing_factory() const {
  return [make = recipient_factory(),
          print = announcement()]() -> Result<std::vector<std::unique_ptr<Recipient>>> {
    CKPTSEAL_ASSIGN(std::vector<std::unique_ptr<Recipient>> out, make());
    CKPTSEAL_TRY(print());
    return out;
  };
}

std::function<Status()> Sealing::announcement() const {
  return [paper = paper_]() { return paper ? paper->print() : Status(); };
}

void Sealing::warn_of_paper(Console& console) const {
  if (!paper_ || committed_) return;
  if (const std::string sentence = paper_->in_vain(); !sentence.empty()) console.warn(sentence);
}

Status Sealing::commit() {
  if (file_) CKPTSEAL_TRY(file_->commit());
  committed_ = true;
  return {};
}

std::string Sealing::origin() const {
  if (options_.unsigned_file) return "";
  return std::string(as_text(host_.record().identity()));
}

Outcome Sealing::describe(const HelperReport& report) const {
  Outcome outcome;
  outcome.json = {{"checkpoint_id", hex_of(report.checkpoint_id())},
                  {"content", report.content()},
                  {"content_bytes", report.content_bytes()},
                  {"cipher", report.suite()},
                  {"exclusive", report.exclusive()},
                  {"signed", !options_.unsigned_file},
                  {"size", report.file_size()},
                  {"output", options_.output},
                  {"recipients", recipients_.names()},
                  {"threshold", recipients_.threshold()}};
  if (options_.output == "-") return outcome;
  std::string names;
  for (const auto& name : recipients_.names()) {
    names += (names.empty() ? "" : ", ") + name.get<std::string>();
  }
  const std::string together =
      recipients_.threshold() < 2 ? "" : fmt::format("{} together of ", recipients_.threshold());
  outcome.text = fmt::format("Sealed {} of content as {} for {}{}.\n",
                             human_size(report.content_bytes()), options_.output, together, names);
  return outcome;
}

}  // namespace ckptseal
