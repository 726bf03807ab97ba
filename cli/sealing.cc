// SPDX-License-Identifier: Apache-2.0
//
// Recipients, options and output of a sealed file in the making.
#include "cli/sealing.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cli/reading.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/tpm2/slot.h"

namespace ckptseal {

void add_sealing_options(const Verb& verb, SealingOptions& options) {
  verb.option("--to", options.to,
              "Who can open it: a trusted host's name, a host record file, passphrase, self "
              "(the default)")
      .value_name("RECIPIENT");
  verb.option("--cipher", options.cipher, "aes-256-gcm or chacha20-poly1305")
      .one_of({"aes-256-gcm", "chacha20-poly1305"})
      .shows_default();
  verb.option("--passphrase-fd", options.passphrase_fd,
              "Read the passphrase from this descriptor instead of the terminal")
      .value_name("N");
  verb.flag("--exclusive", options.exclusive,
            "One recipient, for ever: faster, nobody can be added later");
  verb.flag("--only-passphrase", options.only_passphrase,
            "Allow a file that only a passphrase opens");
  verb.flag("--force", options.force, "Replace FILE if it exists");
  verb.flag("--dry-run", options.dry_run, "Check recipients and options, seal nothing");
}

Result<std::unique_ptr<Sealing>> Sealing::prepare(const Globals& globals,
                                                  const SealingOptions& options, Console& console) {
  if (globals.json && options.output == "-") {
    return Error{Code::usage,
                 "--json and the sealed file would mix on stdout; name a file with -o.", 0};
  }
  CKPTSEAL_ASSIGN(HostAccess host, HostAccess::open(globals));
  if (!options.unsigned_file) CKPTSEAL_TRY(host.require_provisioned());
  // NOLINTNEXTLINE: the constructor is private
  std::unique_ptr<Sealing> sealing(new Sealing(options, std::move(host)));
  CKPTSEAL_TRY(sealing->find_recipients());
  sealing->warn_about_recipients(console);
  return sealing;
}

Status Sealing::find_recipients() {
  const TrustStore store = host_.trust_store();
  std::vector<std::string> to = options_.to;
  if (to.empty()) to.emplace_back("self");
  for (const std::string& name : to) {
    if (name == "passphrase") {
      for_passphrase_ = true;
      continue;
    }
    if (name == "self") CKPTSEAL_TRY(host_.require_provisioned());
    CKPTSEAL_ASSIGN(SignedHostRecord record, store.find_recipient(name));
    const bool twice = std::any_of(
        records_.begin(), records_.end(),
        [&](const SignedHostRecord& other) { return other.fingerprint() == record.fingerprint(); });
    if (!twice) records_.push_back(std::move(record));
  }
  if (!records_.empty() || options_.only_passphrase) return {};
  return Error{Code::usage,
               "Only a passphrase would open this file, and passphrases can be guessed; name a "
               "host with --to as well, or say --only-passphrase.",
               0};
}

void Sealing::warn_about_recipients(Console& console) const {
  for (const SignedHostRecord& signed_record : records_) {
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
    if (!for_passphrase_) {
      console.warn(
          fmt::format("an update of the firmware or kernel of {} locks it out of this file; "
                      "add --to passphrase for recovery.",
                      record.name));
    }
  }
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
  if (!for_passphrase_) return {};
  CKPTSEAL_ASSIGN(passphrase_, PassphraseSource::open(options_.passphrase_fd));
  return {};
}

RecipientFactory Sealing::recipients() const {
  return [this]() -> Result<std::vector<std::unique_ptr<Recipient>>> {
    std::vector<std::unique_ptr<Recipient>> out;
    for (const SignedHostRecord& signed_record : records_) {
      const HostRecord& record = signed_record.record();
      out.push_back(std::make_unique<Tpm2Recipient>(
          record.storage_parent.public_area, record.policy_anchor, signed_record.fingerprint()));
    }
    if (passphrase_) {
      CKPTSEAL_ASSIGN(Secret secret, passphrase_->read(true));
      out.push_back(std::make_unique<PassphraseRecipient>(std::move(secret),
                                                          recommended_cost(machine_memory())));
    }
    return out;
  };
}

std::vector<int> Sealing::descriptors() const {
  if (!passphrase_) return {};
  return {passphrase_->fd()};
}

SealOptions Sealing::seal_options(Content content) const {
  SealOptions out;
  const bool aes = options_.cipher == "aes-256-gcm";
  out.suite = options_.exclusive
                  ? (aes ? Suite::aes_256_gcm_exclusive : Suite::chacha20_poly1305_exclusive)
                  : (aes ? Suite::aes_256_gcm : Suite::chacha20_poly1305);
  out.content = content;
  if (!options_.unsigned_file) out.origin = host_.record().fingerprint();
  out.created = now_seconds();
  return out;
}

Status Sealing::commit() { return file_ ? file_->commit() : Status(); }

Json Sealing::recipient_names() const {
  Json names = Json::array();
  for (const SignedHostRecord& record : records_) names.push_back(record.record().name);
  if (for_passphrase_) names.push_back("passphrase");
  return names;
}

Json Sealing::recipient_records() const {
  Json out = Json::array();
  for (const SignedHostRecord& record : records_) {
    out.push_back({{"name", record.record().name}, {"fingerprint", to_hex(record.fingerprint())}});
  }
  if (for_passphrase_) out.push_back({{"name", "passphrase"}, {"fingerprint", nullptr}});
  return out;
}

std::string Sealing::origin() const {
  if (options_.unsigned_file) return "";
  return std::string(as_text(host_.record().fingerprint()));
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
                  {"recipients", recipient_names()}};
  if (options_.output == "-") return outcome;
  std::string names;
  for (const auto& name : recipient_names()) {
    names += (names.empty() ? "" : ", ") + name.get<std::string>();
  }
  outcome.text = fmt::format("Sealed {} of content as {} for {}.\n",
                             human_size(report.content_bytes()), options_.output, names);
  return outcome;
}

}  // namespace ckptseal
