// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal policy create, show`: what must hold for a slot to open, as a document and in words.
// docs/policies.md.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "base/output_file.h"
#include "cli/host_access.h"
#include "cli/sealing/limit_options.h"
#include "cli/sealing/policy_files.h"
#include "cli/verbs/policy.h"
#include "policies/policy_digest.h"
#include "policies/policy_document.h"

namespace ckptseal {
namespace {

struct CreateOptions {
  std::string pcrs;
  std::string public_key;
  std::string domain;
  bool with_pin = false;
  std::string online;
  bool with_epoch = false;
  bool migration = false;
  LimitOptions limits;
  bool empty = false;
  std::vector<std::string> any_of;
  std::string output = "-";
  bool force = false;
};

Result<EcPoint> read_authority_key(const std::string& path) {
  constexpr std::size_t largest = 1 << 16;
  const std::string what = fmt::format("The public key {}", path);
  CKPTSEAL_ASSIGN(const Bytes file, read_file(path, largest, path));
  CKPTSEAL_ASSIGN(const PublicKey key, PublicKey::from_file(file, what));
  if (key.algorithm() != KeyAlgorithm::ecdh_p256) {
    return Error{Code::usage,
                 fmt::format("{} is none of P-256, with which approvals are signed: name the file "
                             "that 'ckpt-seal authority init' wrote.",
                             what),
                 0};
  }
  // The point ends a SubjectPublicKeyInfo of that curve.
  ByteReader in(key.spki().last(64));
  return EcPoint{in.array<32>(), in.array<32>()};
}

// With its other half, when that is asked for: the same for migration.
Result<std::vector<PolicyTerm>> approval_terms(const CreateOptions& options) {
  if (options.public_key.empty() != options.domain.empty() ||
      (options.migration && options.public_key.empty())) {
    return Error{Code::usage,
                 "Approvals need the key and the domain: give --tpm2-public-key and --domain, and "
                 "--migration only with them.",
                 0};
  }
  std::vector<PolicyTerm> out;
  if (options.public_key.empty()) return out;
  CKPTSEAL_ASSIGN(const EcPoint key, read_authority_key(options.public_key));
  const ApprovalTerm restore{ApprovalPurpose::restore, key, options.domain};
  if (!options.migration) {
    out.emplace_back(restore);
    return out;
  }
  const ApprovalTerm migrate{ApprovalPurpose::migrate, key, options.domain};
  out.emplace_back(AnyTerm{{{{restore}}, {{migrate}}}});
  return out;
}

Result<Policy> policy_of(const CreateOptions& options) {
  Policy out;
  CKPTSEAL_ASSIGN(out.terms, approval_terms(options));
  if (!options.any_of.empty()) {
    AnyTerm any;
    for (const std::string& path : options.any_of) {
      CKPTSEAL_ASSIGN(Policy branch, read_unlimited_policy_file(path));
      any.branches.push_back(std::move(branch));
    }
    out.terms.emplace_back(std::move(any));
  }
  if (!options.pcrs.empty()) {
    CKPTSEAL_ASSIGN(const PcrSelection selection, PcrSelection::parse(options.pcrs));
    out.terms.emplace_back(PcrTerm{{selection, {}}});
  }
  if (options.with_epoch) out.terms.emplace_back(EpochTerm{});
  if (options.with_pin) out.terms.emplace_back(PinTerm{});
  // The last, so that nobody is asked, and nothing counted, where the rest is not met.
  if (!options.online.empty()) {
    CKPTSEAL_ASSIGN(const EcPoint key, read_authority_key(options.online));
    out.terms.emplace_back(OnlineTerm{key});
  }
  if (out.terms.empty() != options.empty) {
    return Error{
        Code::usage,
        options.empty
            ? "--empty is for a policy that demands nothing: leave it or the others out."
            : "Such a policy demands nothing, and every root process of the host opens what "
              "is sealed under it: ask for something, or say --empty.",
        0};
  }
  return out;
}

std::string words_of(const PolicyDocument& document) {
  std::vector<std::string> out = limit_words(document.limits);
  out.insert(out.begin(), policy_words(document.policy));
  return fmt::format("{}", fmt::join(out, ", "));
}

// Reading it again puts the terms in the order in which a TPM can be asked, and checks the rules.
Result<Outcome> create(const CreateOptions& options, Console& console) {
  CKPTSEAL_ASSIGN(const Policy wanted, policy_of(options));
  CKPTSEAL_ASSIGN(const UseLimits limits, limits_of(options.limits, now_seconds()));
  CKPTSEAL_ASSIGN(const PolicyDocument read,
                  parse_policy_document(policy_document(wanted, limits), "The policy"));
  const Policy& policy = read.policy;
  if (policy.terms.empty()) {
    console.warn("the policy demands nothing: every root process of the host meets it.");
  }
  const std::string document = policy_document(policy, limits);
  Outcome outcome;
  outcome.json = {{"policy", Json::parse(document)["all_of"]},
                  {"words", words_of(read)},
                  {"output", options.output}};
  if (options.output == "-") {
    outcome.text = document;
    return outcome;
  }
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_TRY(write_file(options.output, as_bytes(document), 0644, replace));
  outcome.text = fmt::format("Wrote {}; it demands {}.\n", options.output, words_of(read));
  return outcome;
}

struct ShowOptions {
  std::string file;
  std::string host;
};

Result<Outcome> show(const Globals& globals, const ShowOptions& options) {
  CKPTSEAL_ASSIGN(PolicyDocument document, read_policy_file(options.file));
  Policy& policy = document.policy;
  Outcome outcome;
  if (!options.host.empty()) {
    CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
    if (options.host == "self") CKPTSEAL_TRY(host.require_provisioned());
    CKPTSEAL_ASSIGN(const SignedHostRecord record, host.trust_store().find_recipient(options.host));
    if (record.record().token) {
      return Error{Code::usage,
                   fmt::format("{} has a token and no TPM, and policies are for TPMs: name another "
                               "host.",
                               record.record().name),
                   0};
    }
    CKPTSEAL_ASSIGN(policy, complete(policy, record.record().policy_state(), record.record().name));
    outcome.json["host"] = record.record().name;
  }
  const bool complete = policy.check().ok();
  outcome.json["policy"] = Json::parse(policy_document(policy, document.limits))["all_of"];
  outcome.json["words"] = words_of(document);
  // With an online approval it is another one for each checkpoint.
  std::string digest;
  if (complete && !policy.has_online()) digest = to_hex(policy_digest(policy, Checkpoint{}));
  outcome.json["digest"] = digest.empty() ? Json() : Json(digest);
  outcome.text = "What is sealed under it opens where all of this holds:\n";
  for (const PolicyTerm& term : policy.terms) {
    outcome.text += fmt::format("- {}\n", policy_words({{term}}));
  }
  if (policy.terms.empty()) outcome.text = "It demands nothing of the hosts' TPMs.\n";
  const std::vector<std::string> limits = limit_words(document.limits);
  if (!limits.empty()) outcome.text += "The checkpoint is limited:\n";
  for (const std::string& limit : limits) outcome.text += fmt::format("- {}\n", limit);
  if (!complete) outcome.text += "Values are filled in from the host record; see --for.\n";
  if (!digest.empty()) outcome.text += fmt::format("Policy digest: {}\n", digest);
  return outcome;
}

void add_create(const Verb& policy) {
  auto options = std::make_shared<CreateOptions>();
  const Verb verb = policy.verb(
      "create", "Write a policy document",
      "ckpt-seal policy create --tpm2-public-key fleet.pem --domain fleet --epoch -o fleet.json");
  verb.option("--tpm2-pcrs", options->pcrs, "The PCRs hold what the host record says")
      .value_name("LIST");
  verb.option("--tpm2-public-key", options->public_key,
              "The PCRs hold what this key has approved (see 'ckpt-seal authority approve')")
      .value_name("FILE");
  verb.option("--domain", options->domain, "For which hosts the approvals are").value_name("NAME");
  verb.flag("--migration", options->migration,
            "Or the same key has approved the move to another TPM");
  verb.flag("--epoch", options->with_epoch, "'ckpt-seal host revoke' ends it");
  verb.flag("--tpm2-with-pin", options->with_pin, "The PIN is given, which is set at sealing");
  verb.option("--online", options->online,
              "This key signs for each opening, while it waits (see 'ckpt-seal authority answer')")
      .value_name("FILE");
  verb.option("--any-of", options->any_of,
              "One of these policies holds, beside what else is asked for; give it twice or more")
      .value_name("FILE");
  add_limit_options(verb, options->limits);
  verb.flag("--empty", options->empty, "Demand nothing of the TPMs");
  verb.option("-o,--output", options->output, "Policy file, - for standard output")
      .value_name("FILE")
      .shows_default();
  verb.flag("--force", options->force, "Replace FILE if it exists");
  verb.does([options](const Globals&, Console& console) { return create(*options, console); });
}

void add_show(const Verb& policy) {
  auto options = std::make_shared<ShowOptions>();
  const Verb verb =
      policy.verb("show", "Say a policy document in words", "ckpt-seal policy show fleet.json");
  verb.option("FILE", options->file, "Policy file").required();
  verb.option("--for", options->host,
              "As it would be for this host: self, a trusted host's name, or a record file")
      .value_name("HOST");
  verb.does([options](const Globals& globals, Console&) { return show(globals, *options); });
}

}  // namespace

void add_policy_document_verbs(const Verb& policy) {
  add_create(policy);
  add_show(policy);
}

}  // namespace ckptseal
