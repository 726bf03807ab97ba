// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal host show, export, trust, list`: host records and whom this host trusts.
#include <fmt/format.h>

#include "base/output_file.h"
#include "base/utc_time.h"
#include "cli/host_access.h"
#include "policies/policy_document.h"
#include "provisioning/provision.h"

namespace ckptseal {
namespace {

Result<Json> describe_record(const SignedHostRecord& signed_record) {
  const HostRecord& record = signed_record.record();
  Json json = {{"name", record.name},
               {"fingerprint", to_hex(signed_record.fingerprint())},
               {"identity", to_hex(signed_record.identity())},
               {"created", utc_time(record.created)},
               {"expires", record.expires == 0 ? Json() : Json(utc_time(record.expires))}};
  if (record.token) {
    CKPTSEAL_ASSIGN(const PublicKey key, storage_key_of(record));
    json["storage_key"] = to_hex(key.id());
  } else {
    json["storage_parent"] = to_hex(record.storage_parent.public_area.name());
    json["attestation_key"] = to_hex(record.attestation_key.name());
    json["pcrs"] = record.policy_anchor.selection.text();
    json["pcr_digest"] = to_hex(record.policy_anchor.digest());
    json["epoch"] = record.epoch;
    json["policy"] = Json::parse(policy_document(record.release_policy()))["all_of"];
    json["policy_words"] = policy_words(record.release_policy());
  }
  json["labels"] = Json::object();
  for (const auto& [key, value] : record.labels) json["labels"][key] = value;
  json["manufacturer"] = record.manufacturer;
  json[record.token ? "software_token" : "software_tpm"] = record.software;
  return json;
}

std::string text_of(const Json& record) {
  const auto field = [&](const char* key) {
    return record[key].is_string() ? record[key].get<std::string>() : std::string("never");
  };
  const std::string head = fmt::format(
      "Name:            {}\nFingerprint:     {}\nIdentity:        {}\nCreated:         {}\n"
      "Expires:         {}\n",
      field("name"), field("fingerprint"), field("identity"), field("created"), field("expires"));
  if (record.contains("storage_key")) {
    return head + fmt::format(
                      "Storage key:     {}\nPolicy:          none: a token measures nothing\n"
                      "Token:           {}{}\n",
                      field("storage_key"), field("manufacturer"),
                      record["software_token"].get<bool>()
                          ? ", not said to be a device: may protect nothing against root"
                          : "");
  }
  return head +
         fmt::format(
             "Storage parent:  {}\nAttestation key: {}\nPCRs:            {}, digest {}\n"
             "Epoch:           {}\nPolicy:          {}\nTPM:             {}{}\n",
             field("storage_parent"), field("attestation_key"), field("pcrs"), field("pcr_digest"),
             record["epoch"].get<std::uint64_t>(), field("policy_words"), field("manufacturer"),
             record["software_tpm"].get<bool>() ? ", software: protects nothing against root" : "");
}

Result<SignedHostRecord> record_of(const Globals& globals, const std::string& name) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
  return host.trust_store().find_recipient(name);
}

Result<Outcome> show(const Globals& globals, const std::string& name) {
  CKPTSEAL_ASSIGN(const SignedHostRecord record, record_of(globals, name));
  Outcome outcome;
  CKPTSEAL_ASSIGN(outcome.json["record"], describe_record(record));
  outcome.text = text_of(outcome.json["record"]);
  return outcome;
}

struct ExportOptions {
  std::string output = "-";
  bool force = false;
};

Result<Outcome> export_record(const Globals& globals, const ExportOptions& options) {
  CKPTSEAL_ASSIGN(const SignedHostRecord record, record_of(globals, "self"));
  CKPTSEAL_ASSIGN(Json described, describe_record(record));
  Outcome outcome;
  outcome.json = {{"record", std::move(described)}, {"output", options.output}};
  if (options.output == "-") {
    outcome.json["pem"] = record.pem();
    outcome.text = record.pem();
    return outcome;
  }
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_TRY(write_file(options.output, as_bytes(record.pem()), 0644, replace));
  outcome.text =
      fmt::format("Wrote the record of {} to {}; its fingerprint is {}, the host's identity {}.\n",
                  record.record().name, options.output, to_hex(record.fingerprint()),
                  to_hex(record.identity()));
  return outcome;
}

struct TrustOptions {
  std::string file;
  std::vector<std::string> roles;
  std::string fingerprint;
  bool replace = false;
  bool remove = false;
  bool dry_run = false;
};

TrustRoles roles_of(const TrustOptions& options) {
  TrustRoles roles;
  for (const std::string& role : options.roles) {
    (role == "recipient" ? roles.recipient : roles.origin) = true;
  }
  return roles;
}

Result<std::optional<Digest>> pinned_fingerprint(const TrustOptions& options) {
  if (options.fingerprint.empty()) return std::optional<Digest>();
  CKPTSEAL_ASSIGN(const Digest pinned, parse_fingerprint(options.fingerprint));
  return std::optional<Digest>(pinned);
}

Result<Outcome> distrust(const Globals& globals, const TrustOptions& options) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const std::optional<Digest> fingerprint, pinned_fingerprint(options));
  TrustStore store = host.trust_store();
  CKPTSEAL_ASSIGN(const TrustChange change,
                  store.remove(options.file, roles_of(options), fingerprint, options.dry_run));
  Outcome outcome;
  outcome.json = {{"name", options.file},
                  {"roles", options.roles},
                  {"dry_run", options.dry_run},
                  {"removed", change.removed}};
  outcome.text =
      fmt::format("{} {} as {}.\n", options.dry_run ? "Would not trust" : "Does not trust",
                  options.file, fmt::join(options.roles, " or "));
  return outcome;
}

Result<Outcome> trust(const Globals& globals, const TrustOptions& options) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const SignedHostRecord record,
                  read_host_record_file(options.file, now_seconds()));
  CKPTSEAL_ASSIGN(Json described, describe_record(record));
  TrustRequest request;
  request.roles = roles_of(options);
  CKPTSEAL_ASSIGN(request.pinned, pinned_fingerprint(options));
  request.replace = options.replace;
  request.dry_run = options.dry_run;
  TrustStore store = host.trust_store();
  CKPTSEAL_ASSIGN(const TrustChange change, store.add(record, request));
  Outcome outcome;
  outcome.json = {{"record", std::move(described)},
                  {"roles", options.roles},
                  {"dry_run", options.dry_run},
                  {"written", change.written},
                  {"removed", change.removed}};
  outcome.text = fmt::format("{} {} as {}; its fingerprint is {}, the host's identity {}.\n",
                             options.dry_run ? "Would trust" : "Trusts", record.record().name,
                             fmt::join(options.roles, " and "), to_hex(record.fingerprint()),
                             to_hex(record.identity()));
  return outcome;
}

std::string line_of(const TrustEntry& entry) {
  return fmt::format("{} {}{}{}{}\n", entry.name,
                     entry.record
                         ? fmt::format("{} identity {}", to_hex(entry.record->fingerprint()),
                                       to_hex(entry.record->identity()))
                         : "damaged",
                     entry.roles.recipient ? " recipient" : "", entry.roles.origin ? " origin" : "",
                     entry.own ? " self" : "");
}

Result<Outcome> list(const Globals& globals, Console& console) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  CKPTSEAL_ASSIGN(const std::vector<TrustEntry> entries, host.trust_store().list());
  Outcome outcome;
  Json& hosts = outcome.json["hosts"] = Json::array();
  for (const TrustEntry& entry : entries) {
    if (!entry.problem.empty()) console.warn(entry.problem);
    Json json = {{"name", entry.name},
                 {"recipient", entry.roles.recipient},
                 {"origin", entry.roles.origin},
                 {"self", entry.own},
                 {"expired", entry.expired}};
    json["fingerprint"] = entry.record ? Json(to_hex(entry.record->fingerprint())) : Json();
    json["identity"] = entry.record ? Json(to_hex(entry.record->identity())) : Json();
    outcome.text += line_of(entry);
    hosts.push_back(std::move(json));
  }
  return outcome;
}

void add_show(const Verb& host) {
  auto name = std::make_shared<std::string>("self");
  const Verb verb = host.verb("show", "Show a host record", "ckpt-seal host show host-b.record");
  verb.option("NAME", *name, "self, a trusted host's name, or a record file").shows_default();
  verb.does([name](const Globals& globals, Console&) { return show(globals, *name); });
}

void add_export(const Verb& host) {
  auto options = std::make_shared<ExportOptions>();
  const Verb verb = host.verb("export", "Write this host's record, for others to trust",
                              "ckpt-seal host export -o host-a.record");
  verb.option("-o,--output", options->output, "Record file, - for standard output")
      .value_name("FILE")
      .shows_default();
  verb.flag("--force", options->force, "Replace FILE if it exists");
  verb.does(
      [options](const Globals& globals, Console&) { return export_record(globals, *options); });
}

void add_trust(const Verb& host) {
  auto options = std::make_shared<TrustOptions>();
  const Verb verb = host.verb("trust", "Trust a host from now on",
                              "ckpt-seal host trust host-b.record --as recipient --as origin");
  verb.option("RECORD", options->file,
              "Record file, got in a way you trust; with --remove the name of a host")
      .required();
  verb.option("--as", options->roles,
              "recipient: seal for it; origin: open what it sealed; can be given twice")
      .required()
      .one_of({"recipient", "origin"});
  verb.option("--fingerprint", options->fingerprint, "Refuse a record with another fingerprint")
      .value_name("HEX");
  verb.flag("--replace", options->replace, "Replace another host of the same name");
  verb.flag("--remove", options->remove, "Trust it no more");
  verb.flag("--dry-run", options->dry_run, "Check, change nothing");
  verb.does([options](const Globals& globals, Console&) {
    return options->remove ? distrust(globals, *options) : trust(globals, *options);
  });
}

struct RevokeOptions {
  bool dry_run = false;
};

// The counter first: a crash then leaves a record that is too old, which provision mends, and never
// a record that promises an epoch which the TPM does not have.
Result<Outcome> revoke(const Globals& globals, const RevokeOptions& options, Console& console) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  CKPTSEAL_TRY(host.require_provisioned());
  if (host.has_token()) {
    return Error{Code::usage,
                 "This host has a token and no TPM, so nothing counts its epochs: change what was "
                 "sealed for it with 'ckpt-seal rewrap', or destroy it with 'ckpt-seal shred'.",
                 0};
  }
  const HostRecord& record = host.record().record();
  const bool bound = record.release_policy().has_epoch();
  Outcome outcome;
  outcome.json = {{"dry_run", options.dry_run},
                  {"epoch", record.epoch},
                  {"policy_has_epoch", bound},
                  {"fingerprint", to_hex(host.record().fingerprint())}};
  if (!bound) {
    console.warn(
        "the policy of this host has no epoch: only what was sealed with --policy and an epoch "
        "ends "
        "now; see 'ckpt-seal policy create --epoch' and 'ckpt-seal provision --policy'.");
  }
  if (options.dry_run) {
    outcome.text = fmt::format("Would end what was sealed for {} up to epoch {}.\n", record.name,
                               record.epoch);
    return outcome;
  }
  {
    CKPTSEAL_ASSIGN(const TpmSession session, host.start_tpm());
    CKPTSEAL_ASSIGN(TpmConnection connection, session.connect(host.tpm_timeout()));
    CKPTSEAL_ASSIGN(const std::uint64_t epoch, count_epoch(connection, record.epoch_index));
    outcome.json["epoch"] = epoch;
  }
  ProvisionRequest request;
  if (!globals.tpm.empty()) request.tcti = globals.tpm;
  request.now = now_seconds();
  Result<ProvisionOutcome> done = provision_host(
      host.state(), request, standard_tpm_opener(std::chrono::seconds(globals.tpm_timeout)));
  if (!done.ok()) {
    return Error{
        done.error().code,
        fmt::format("What was sealed for this host is revoked, but its record could not be "
                    "made anew: {}",
                    done.error().message),
        done.error().cause};
  }
  outcome.json["fingerprint"] = to_hex(done.value().record->fingerprint());
  outcome.text = fmt::format(
      "What was sealed for {} up to now and has an epoch in its policy never opens by its TPM "
      "again; "
      "hand out its new record, fingerprint {}.\n",
      record.name, to_hex(done.value().record->fingerprint()));
  return outcome;
}

void add_revoke(const Verb& host) {
  auto options = std::make_shared<RevokeOptions>();
  const Verb verb = host.verb(
      "revoke", "End all that was sealed for this host until now, by the epoch counter of its TPM",
      "ckpt-seal host revoke");
  verb.flag("--dry-run", options->dry_run, "Say what would end, change nothing");
  verb.does([options](const Globals& globals, Console& console) {
    return revoke(globals, *options, console);
  });
}

}  // namespace

void add_host_verbs(const Verb& command) {
  const Verb host = command.group("host", "Host records: show, export, trust, list, revoke");
  add_show(host);
  add_export(host);
  add_trust(host);
  add_revoke(host);
  const Verb verb = host.verb("list", "List the hosts that are trusted", "ckpt-seal host list");
  verb.does([](const Globals& globals, Console& c) { return list(globals, c); });
}

}  // namespace ckptseal
