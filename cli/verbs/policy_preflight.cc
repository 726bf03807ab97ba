// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal policy preflight`: which stored checkpoints a change of this host would lock out,
// before it is made. docs/policies.md, "Preflight". It needs no TPM and no key.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "cli/host_access.h"
#include "cli/opening/reading.h"
#include "cli/opening/release_inputs.h"
#include "cli/opening/slots.h"
#include "cli/verbs/policy.h"
#include "policies/forecast.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

struct PreflightOptions {
  std::string next;
  std::vector<std::string> places;
};

// Files that end with .cks in these folders and below; what is named itself whatever its name.
Result<std::vector<std::string>> sealed_files(const std::vector<std::string>& places) {
  std::vector<std::string> out;
  for (const std::string& place : places) {
    std::error_code error;
    if (!fs::is_directory(place, error)) {
      out.push_back(place);
      continue;
    }
    auto at = fs::recursive_directory_iterator(place, error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      std::error_code ignored;
      if (at->path().extension() == ".cks" && at->is_regular_file(ignored)) {
        out.push_back(at->path().string());
      }
    }
    if (error) return system_error(fmt::format("Cannot read the folder {}", place), error.value());
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string pcrs_of(const Forecast& forecast) {
  return fmt::format("PCR {}", fmt::join(forecast.pcrs, ", "));
}

// What stands in the way, and what cures it.
std::string cure_of(const Forecast& forecast, const std::string& next) {
  switch (forecast.verdict) {
    case Forecast::Verdict::opens:
      return "opens";
    case Forecast::Verdict::opens_with_pin:
      return "opens with its PIN";
    case Forecast::Verdict::opens_with_answer:
      return "opens once it is approved online";
    case Forecast::Verdict::unknown:
      return fmt::format("cannot be told: {} says nothing of {}; predict it, too", next,
                         pcrs_of(forecast));
    case Forecast::Verdict::not_approved:
      return fmt::format(
          "locked out until that state is approved: 'ckpt-seal authority approve --domain {} "
          "--state {}'",
          forecast.authority->domain, next);
    case Forecast::Verdict::other_pcrs:
      return fmt::format(
          "locked out for good, {} will differ: add another recipient before with 'ckpt-seal "
          "rewrap "
          "--add'",
          pcrs_of(forecast));
    case Forecast::Verdict::revoked:
      return "revoked already: it opens for its other recipients alone";
    case Forecast::Verdict::never:
      return "never opens on this host, whatever its state";
  }
  return "";
}

// Of the slots of this host the best; nothing when it has none.
std::optional<Forecast> best_of(const HelperReport& report, const ForeseenState& state,
                                const std::vector<Approval>& approvals) {
  std::optional<Forecast> best;
  for (const proto::SlotReport& slot : report.slots()) {
    if (slot.damaged()) continue;
    const Result<Policy> policy = Policy::parse(as_bytes(slot.policy()));
    if (!policy.ok()) continue;
    Forecast one = forecast(policy.value(), state, approvals);
    if (!best || one.verdict < best->verdict) best = std::move(one);
  }
  return best;
}

Result<Json> foresee(const Globals& globals, const HostAccess& host, const std::string& file,
                     const ForeseenState& state, const std::string& next, Console& console) {
  ReadingOptions options;
  options.file = file;
  CKPTSEAL_ASSIGN(const auto reading, Reading::prepare(globals, options, Reading::Key::none));
  const TpmName& parent = host.record().record().storage_parent.public_area.name();
  const InspectJob job{reading->job(), is_for_tpm(parent)};
  CKPTSEAL_ASSIGN(const HelperReport report, inspect_in_helper(job, reading->events(console)));
  CKPTSEAL_ASSIGN(const ReleaseInputs inputs, ReleaseInputs::find(host.state(), folder_of(file)));
  const ApprovalsAtHand approvals = inputs.help({}).approvals();
  const std::optional<Forecast> found = best_of(report, state, approvals.usable);
  Json json = {{"file", file}};
  json["verdict"] = found ? std::string(verdict_word(found->verdict)) : "no_slot";
  json["pcrs"] = found ? Json(found->pcrs) : Json::array();
  json["domain"] = found && found->authority ? Json(found->authority->domain) : Json();
  json["message"] = found ? cure_of(*found, next) : "has no slot for the TPM of this host";
  return json;
}

bool is_locked_out(const Json& file) {
  const auto verdict = file["verdict"].get<std::string>();
  return verdict == "not_approved" || verdict == "other_pcrs" || verdict == "unknown";
}

Result<Outcome> preflight(const Globals& globals, const PreflightOptions& options,
                          Console& console) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  CKPTSEAL_TRY(host.require_provisioned());
  if (host.has_token()) {
    return Error{Code::usage,
                 "This host has a token and no TPM: what is sealed for it opens in any state, so "
                 "there is nothing to foresee.",
                 0};
  }
  CKPTSEAL_ASSIGN(const PcrState next, read_pcr_state_file(options.next));
  const ForeseenState state{next, host.record().record().policy_state().epoch};
  CKPTSEAL_ASSIGN(const std::vector<std::string> files, sealed_files(options.places));
  Outcome outcome;
  Json& list = outcome.json["files"] = Json::array();
  std::size_t locked_out = 0;
  std::size_t unreadable = 0;
  for (const std::string& file : files) {
    Result<Json> one = foresee(globals, host, file, state, options.next, console);
    if (!one.ok()) {
      ++unreadable;
      console.warn(with_subject(file, one.error()).message);
      continue;
    }
    if (is_locked_out(one.value())) ++locked_out;
    outcome.text += fmt::format("{}: {}.\n", file, one.value()["message"].get<std::string>());
    list.push_back(std::move(one).value());
  }
  outcome.json["locked_out"] = locked_out;
  outcome.json["unreadable"] = unreadable;
  outcome.text +=
      fmt::format("{} of {} files would be locked out{}.\n", locked_out, files.size(),
                  unreadable == 0 ? "" : fmt::format(", {} cannot be read", unreadable));
  if (unreadable > 0) outcome.exit_code = static_cast<int>(Code::failed);
  if (locked_out > 0) outcome.exit_code = static_cast<int>(Code::policy);
  return outcome;
}

}  // namespace

Result<PcrState> read_pcr_state_file(const std::string& path) {
  CKPTSEAL_ASSIGN(const Bytes text,
                  read_file(path, PcrState::largest, fmt::format("the state {}", path)));
  Result<PcrState> state = PcrState::parse(as_text(text));
  if (!state.ok()) return with_subject(path, state.error());
  return state;
}

void add_policy_preflight_verb(const Verb& policy) {
  auto options = std::make_shared<PreflightOptions>();
  const Verb verb = policy.verb("preflight", "Say which stored checkpoints a change would lock out",
                                "ckpt-seal policy preflight --next next.json /var/lib/checkpoints");
  verb.option("--next", options->next, "The state after the change, by 'ckpt-seal policy predict'")
      .value_name("STATE")
      .required();
  verb.option("DIR", options->places, "Folders with sealed files (*.cks), or sealed files")
      .required();
  verb.does([options](const Globals& globals, Console& console) {
    return preflight(globals, *options, console);
  });
}

}  // namespace ckptseal
