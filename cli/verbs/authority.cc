// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal authority init, approve` (answer: authority_answer.h): the key of an authority, in a
// PKCS #11 token, and the states of hosts that it approves. docs/policies.md, "Approval".
#include <fmt/format.h>

#include <memory>

#include "base/output_file.h"
#include "base/pem.h"
#include "base/utc_time.h"
#include "cli/host_access.h"
#include "cli/verbs/authority_answer.h"
#include "cli/verbs/authority_key_options.h"
#include "cli/verbs/policy.h"
#include "cli/verbs/verbs.h"
#include "policies/approval.h"

namespace ckptseal {
namespace {

struct InitOptions {
  AuthorityKeyOptions key;
  std::string uses;
  std::string output = "-";
  bool force = false;
};

Result<Outcome> init(const InitOptions& options) {
  bool made = false;
  CKPTSEAL_ASSIGN(const AuthorityKey key, open_or_make_authority_key(options.key, made));
  ByteWriter point;
  point.u8(0x04).bytes(key.point().x).bytes(key.point().y);
  CKPTSEAL_ASSIGN(const PublicKey public_key,
                  PublicKey::from_point(KeyAlgorithm::ecdh_p256, point.view(), "The token's key"));
  CKPTSEAL_ASSIGN(const std::string pem, pem_encode("PUBLIC KEY", public_key.spki()));
  Outcome outcome;
  outcome.json = {{"made", made},
                  {"public_key", to_hex(point.view())},
                  {"key_id", to_hex(public_key.id())},
                  {"output", options.output}};
  if (!options.uses.empty()) {
    CKPTSEAL_ASSIGN(const bool made_record, make_answer_record(options.uses));
    outcome.json["uses"] = {{"path", options.uses}, {"made", made_record}};
  }
  if (options.output == "-") {
    outcome.json["pem"] = pem;
    outcome.text = pem;
    return outcome;
  }
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_TRY(write_file(options.output, as_bytes(pem), 0644, replace));
  outcome.text = fmt::format("{} the key, id {}; wrote its public half to {}.\n",
                             made ? "Made" : "Found", to_hex(public_key.id()), options.output);
  return outcome;
}

struct ApproveOptions {
  AuthorityKeyOptions key;
  std::string domain;
  std::string of;
  std::string state;
  std::string pcrs;
  std::string label;
  unsigned expires_days = 0;
  std::string epoch_of;
  std::string output;
  bool force = false;
  bool dry_run = false;
};

Result<HostRecord> tpm_record_of(const Globals& globals, const std::string& name) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const SignedHostRecord record, host.trust_store().find_recipient(name));
  if (!record.record().token) return record.record();
  return Error{Code::usage,
               fmt::format("{} has a token and no TPM, so there is no state to approve: name "
                           "another host.",
                           record.record().name),
               0};
}

// Those of the selection among what the record has.
Result<PcrValues> approved_pcrs(const ApproveOptions& options, const HostRecord& record) {
  if (options.pcrs.empty()) return record.policy_anchor;
  CKPTSEAL_ASSIGN(const PcrSelection selection, PcrSelection::parse(options.pcrs));
  CKPTSEAL_ASSIGN(const Policy policy,
                  complete({{PcrTerm{{selection, {}}}}}, record.policy_state(), record.name));
  return std::get<PcrTerm>(policy.terms.front()).pcrs;
}

constexpr unsigned runtime_measurements = 10;  // IMA's: nothing binds to them

// Of a state that no host is in yet.
Result<PcrValues> foreseen_pcrs(const ApproveOptions& options) {
  CKPTSEAL_ASSIGN(const PcrState state, read_pcr_state_file(options.state));
  std::uint32_t all = 0;
  for (const auto& [pcr, value] : state.pcrs) {
    if (pcr != runtime_measurements) all |= 1U << pcr;
  }
  CKPTSEAL_ASSIGN(const PcrSelection selection, options.pcrs.empty()
                                                    ? PcrSelection::of_mask(all)
                                                    : PcrSelection::parse(options.pcrs));
  return state.values(selection);
}

Result<ApprovalStatement> statement_of(const Globals& globals, const ApproveOptions& options) {
  if (options.of.empty() == options.state.empty()) {
    return Error{Code::usage,
                 "It takes one state to approve: name a host in it with --of, or the document of a "
                 "predicted one with --state.",
                 0};
  }
  ApprovalStatement out;
  if (options.of.empty()) {
    CKPTSEAL_ASSIGN(out.pcrs, foreseen_pcrs(options));
  } else {
    CKPTSEAL_ASSIGN(const HostRecord record, tpm_record_of(globals, options.of));
    CKPTSEAL_ASSIGN(out.pcrs, approved_pcrs(options, record));
  }
  if (!options.epoch_of.empty()) {
    CKPTSEAL_ASSIGN(const HostRecord other, tpm_record_of(globals, options.epoch_of));
    out.epoch = other.policy_state().epoch;
  }
  out.term.domain = options.domain;
  out.created = now_seconds();
  if (options.expires_days > 0) {
    out.expires = out.created + std::uint64_t{86400} * options.expires_days;
  }
  out.label = options.label;
  return out;
}

Result<Outcome> approve(const Globals& globals, const ApproveOptions& options, Console& console) {
  CKPTSEAL_ASSIGN(ApprovalStatement statement, statement_of(globals, options));
  if (statement.pcrs.all_zero()) {
    console.warn(
        "all PCRs of this approval are zero: it approves hosts whose state is not "
        "measured.");
  }
  Outcome outcome;
  outcome.json = {{"domain", options.domain},
                  {"pcrs", statement.pcrs.selection.text()},
                  {"pcr_digest", to_hex(statement.pcrs.digest())},
                  {"epoch", statement.epoch ? Json(statement.epoch->at_most) : Json()},
                  {"expires", statement.expires == 0 ? Json() : Json(utc_time(statement.expires))},
                  {"label", options.label},
                  {"dry_run", options.dry_run},
                  {"output", options.output}};
  if (!options.dry_run) {
    CKPTSEAL_ASSIGN(AuthorityKey key, open_authority_key(options.key));
    statement.term.key = key.point();
    CKPTSEAL_ASSIGN(const Approval approval,
                    Approval::sign(statement, [&key](const Digest& d) { return key.sign(d); }));
    const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
    CKPTSEAL_TRY(write_file(options.output, as_bytes(approval.pem()), 0644, replace));
  }
  outcome.text = fmt::format(
      "{} {} for the domain {}{}: {}.\n", options.dry_run ? "Would approve" : "Approved",
      statement.pcrs.selection.text(), options.domain,
      statement.expires == 0 ? "" : fmt::format(" until {}", utc_time(statement.expires)),
      options.output);
  if (!statement.epoch && !options.dry_run) {
    console.note(
        "To a TPM this approval holds for ever; --epoch-of binds it to the epoch of a host.");
  }
  return outcome;
}

void add_init(const Verb& authority) {
  auto options = std::make_shared<InitOptions>();
  const Verb verb = authority.verb(
      "init", "Make the authority's key in a token, or find it there, and write its public half",
      "ckpt-seal authority init --key 'pkcs11:token=fleet;object=approvals?module-path=M' -o "
      "fleet.pem");
  add_authority_key_options(verb, options->key);
  verb.option("-o,--output", options->output, "Public key (PEM), - for standard output")
      .value_name("FILE")
      .shows_default();
  verb.option("--uses", options->uses,
              "Also make an empty record of uses for 'authority answer', unless it is there")
      .value_name("RECORD");
  verb.flag("--force", options->force, "Replace FILE if it exists");
  verb.does([options](const Globals&, Console&) { return init(*options); });
}

void add_approve(const Verb& authority) {
  auto options = std::make_shared<ApproveOptions>();
  const Verb verb =
      authority.verb("approve", "Approve a state of the hosts of a domain",
                     "ckpt-seal authority approve --key URI --domain fleet --of host-b.record -o "
                     "kernel-6.1.approval");
  add_authority_key_options(verb, options->key);
  verb.option("--domain", options->domain, "For which hosts it is: as in their policy")
      .value_name("NAME")
      .required();
  verb.option("--of", options->of,
              "Whose state: self, a trusted host's name, or a record file, made in that state")
      .value_name("HOST");
  verb.option("--state", options->state,
              "A state that no host is in yet, by 'ckpt-seal policy predict'")
      .value_name("STATE");
  verb.option("--tpm2-pcrs", options->pcrs,
              "Of these PCRs alone (default: all of the record or document)")
      .value_name("LIST");
  verb.option("--label", options->label, "What people call this state, for example a version")
      .value_name("TEXT");
  verb.option("--expires", options->expires_days, "ckpt-seal refuses it after so many days")
      .value_name("DAYS");
  verb.option("--epoch-of", options->epoch_of,
              "The TPM refuses it once the epoch of that host was counted up")
      .value_name("HOST");
  verb.option("-o,--output", options->output, "Approval, NAME.approval")
      .value_name("FILE")
      .required();
  verb.flag("--force", options->force, "Replace FILE if it exists");
  verb.flag("--dry-run", options->dry_run, "Say what would be approved, sign nothing");
  verb.does([options](const Globals& globals, Console& console) {
    return approve(globals, *options, console);
  });
}

}  // namespace

void add_authority_verbs(const Verb& command) {
  const Verb authority =
      command.group("authority", "Approve states of hosts, and openings: init, approve, answer");
  add_init(authority);
  add_approve(authority);
  add_authority_answer_verb(authority);
}

}  // namespace ckptseal
