// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal provision`: sets this host up, or takes that back.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <climits>

#include "cli/host_access.h"
#include "cli/sealing/policy_files.h"
#include "provisioning/provision.h"
#include "provisioning/tpm_access.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

struct ProvisionOptions {
  std::string hsm;
  std::string name;
  std::string pcrs;
  std::string policy;
  std::vector<std::string> labels;
  unsigned expires_days = 0;
  bool remove = false;
  bool with_trusted = false;
  bool without_tpm = false;
  bool dry_run = false;
};

// The machine's name as a host name may be written; empty if nothing of it is left.
std::string machine_name() {
  char buffer[HOST_NAME_MAX + 1] = {};
  if (gethostname(buffer, sizeof buffer - 1) != 0) return "";
  std::string name(buffer);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

Result<Labels> parse_labels(const std::vector<std::string>& texts) {
  Labels labels;
  for (const std::string& text : texts) {
    const auto equals = text.find('=');
    if (equals == std::string::npos) {
      return Error{Code::usage, fmt::format("The label {} has no value; write KEY=VALUE.", text),
                   0};
    }
    labels[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return labels;
}

Result<ProvisionRequest> request_of(const Globals& globals, const ProvisionOptions& options,
                                    Console& console) {
  ProvisionRequest request;
  if (!globals.tpm.empty()) request.tcti = globals.tpm;
  if (!options.name.empty()) request.name = options.name;
  request.default_name = machine_name();
  if (!options.labels.empty()) {
    CKPTSEAL_ASSIGN(request.labels, parse_labels(options.labels));
  }
  if (!options.pcrs.empty()) {
    CKPTSEAL_ASSIGN(request.selection, PcrSelection::parse(options.pcrs));
  }
  if (options.policy == "none") {
    request.policy.emplace();
  } else if (!options.policy.empty()) {
    CKPTSEAL_ASSIGN(request.policy, read_unlimited_policy_file(options.policy));
  }
  request.now = now_seconds();
  if (options.expires_days > 0) {
    request.expires = request.now + std::uint64_t{86400} * options.expires_days;
  }
  request.dry_run = options.dry_run;
  if (globals.verbose) {
    request.progress = [&console](std::string_view step) { console.note(std::string(step) + "."); };
  }
  return request;
}

TpmOpener tpm_opener(const Globals& globals) {
  return standard_tpm_opener(std::chrono::seconds(globals.tpm_timeout));
}

// In a token a key has no handle that lasts.
std::string place_of(const ProvisionStep& step) {
  return step.handle == 0 ? "in the token" : fmt::format("0x{:08x}", step.handle);
}

Json describe_steps(const std::vector<ProvisionStep>& steps) {
  Json out = Json::array();
  for (const ProvisionStep& step : steps) {
    out.push_back({{"what", step.what},
                   {"handle", step.handle == 0 ? Json() : Json(place_of(step))},
                   {"existed", step.exists}});
  }
  return out;
}

// A host keeps what it has.
Result<bool> has_token(const State& state) {
  const Status there = state.check();
  if (!there.ok()) return there.error().cause == ENOENT ? Result<bool>(false) : there.error();
  CKPTSEAL_ASSIGN(const auto token, state.token());
  return token.has_value();
}

// This process becomes as hard as the helper is, for the module of a token and its PIN come into
// it.
Result<ProvisionOutcome> set_up_token(const Globals& globals, const ProvisionOptions& options,
                                      const State& state, const ProvisionRequest& request) {
  if (!globals.tpm.empty() || !options.pcrs.empty() || !options.policy.empty()) {
    return Error{Code::usage,
                 "A host has a TPM or a token: leave --tpm, --pcrs and --policy out, or --hsm.", 0};
  }
  CKPTSEAL_TRY(harden_process({}));
  return provision_token_host(
      state, request, options.hsm.empty() ? std::nullopt : std::optional<std::string>(options.hsm));
}

Result<Outcome> set_up(const Globals& globals, const ProvisionOptions& options, Console& console) {
  CKPTSEAL_ASSIGN(const ProvisionRequest request, request_of(globals, options, console));
  const State state(globals.state);
  CKPTSEAL_ASSIGN(const bool token, has_token(state));
  CKPTSEAL_ASSIGN(const ProvisionOutcome done,
                  token || !options.hsm.empty()
                      ? set_up_token(globals, options, state, request)
                      : provision_host(state, request, tpm_opener(globals)));
  for (const std::string& warning : done.warnings) console.warn(warning);
  Outcome outcome;
  outcome.json = {{"dry_run", options.dry_run},
                  {"new_record", done.new_record},
                  {"changes", done.changes},
                  {"tpm", describe_steps(done.steps)}};
  for (const ProvisionStep& step : done.steps) {
    if (options.dry_run || globals.verbose) {
      outcome.text += fmt::format("{} {}: {}\n", step.what, place_of(step),
                                  step.exists ? "there already, used" : "new");
    }
  }
  if (!done.record) return outcome;
  outcome.json["name"] = done.record->record().name;
  outcome.json["fingerprint"] = to_hex(done.record->fingerprint());
  outcome.text += fmt::format(
      "{} {}, state in {}; the fingerprint of its record is {}.\n",
      options.dry_run ? "Would provision" : (done.new_record ? "Provisioned" : "Nothing changed:"),
      done.record->record().name, globals.state, to_hex(done.record->fingerprint()));
  return outcome;
}

Result<Outcome> take_back(const Globals& globals, const ProvisionOptions& options,
                          Console& console) {
  RemovalRequest request;
  request.trusted = options.with_trusted;
  request.without_tpm = options.without_tpm;
  request.dry_run = options.dry_run;
  const State state(globals.state);
  CKPTSEAL_ASSIGN(const bool token, has_token(state));
  if (token) CKPTSEAL_TRY(harden_process({}));
  CKPTSEAL_ASSIGN(const RemovalOutcome done, remove_host(state, request, tpm_opener(globals)));
  for (const std::string& warning : done.warnings) console.warn(warning);
  Outcome outcome;
  outcome.json = {
      {"dry_run", options.dry_run}, {"tpm", describe_steps(done.steps)}, {"paths", done.paths}};
  outcome.text = fmt::format(
      "{} the keys of this host and {} files; what was sealed for it alone {} be opened again.\n",
      options.dry_run ? "Would remove" : "Removed", done.paths.size(),
      options.dry_run ? "could not" : "cannot");
  return outcome;
}

}  // namespace

void add_provision_verb(const Verb& command) {
  auto options = std::make_shared<ProvisionOptions>();
  const Verb verb =
      command.verb("provision", "Set this host up: keys in its TPM or token, and a host record",
                   "ckpt-seal provision --name host-a");
  verb.option("--name", options->name, "Name in the host record (default: the machine's)");
  verb.option("--hsm", options->hsm,
              "The token of a host without a TPM: a pkcs11: URI with module-path and pin-source")
      .value_name("URI");
  verb.option("--pcrs", options->pcrs,
              "PCRs that what is sealed for this host binds to (default: "
              "sha256:0,2,4,7,8,9,11,12)")
      .value_name("LIST");
  verb.option("--policy", options->policy,
              "What slots for this host bind to in place of all these PCRs (see 'ckpt-seal policy "
              "create'); none: to the PCRs again")
      .value_name("FILE");
  verb.option("--label", options->labels, "A label of the record; can be given again")
      .value_name("KEY=VALUE");
  verb.option("--expires", options->expires_days, "The record holds for so many days")
      .value_name("DAYS");
  const Option remove = verb.flag("--remove", options->remove, "Undo it");
  verb.flag("--with-trusted", options->with_trusted,
            "With --remove: forget the trusted records, too")
      .needs(remove);
  verb.flag("--without-tpm", options->without_tpm,
            "With --remove: the TPM or token is gone, remove the files alone")
      .needs(remove);
  verb.flag("--dry-run", options->dry_run, "Say what would be done, do nothing");
  verb.does([options](const Globals& globals, Console& c) {
    return options->remove ? take_back(globals, *options, c) : set_up(globals, *options, c);
  });
}

}  // namespace ckptseal
