// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal policy explain`: why this host's TPM would not release a sealed file now, and what was
// measured into the PCRs that stand in the way. docs/policies.md, "Explain". It asks the TPM for
// its PCRs, and for nothing else: no key is unsealed, so no PIN and no use is spent.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/utc_time.h"
#include "cli/host_access.h"
#include "cli/opening/opened.h"
#include "cli/opening/reading.h"
#include "cli/opening/release_inputs.h"
#include "cli/opening/slots.h"
#include "cli/verbs/policy.h"
#include "policies/event_changes.h"
#include "policies/event_text.h"
#include "policies/forecast.h"
#include "policies/policy_document.h"

namespace ckptseal {
namespace {

struct ExplainOptions {
  std::string file;
  std::string log;
};

// All PCRs that can be selected.
Result<PcrState> present_state(const HostAccess& host) {
  constexpr std::uint32_t all_but_runtime_measurements = 0x00fffbff;
  CKPTSEAL_ASSIGN(const PcrSelection selection,
                  PcrSelection::of_mask(all_but_runtime_measurements));
  CKPTSEAL_ASSIGN(const TpmSession session, host.start_tpm());
  CKPTSEAL_ASSIGN(EsysTpm tpm, host.connect(session));
  CKPTSEAL_ASSIGN(const PcrValues values, tpm.read_pcrs(selection));
  PcrState out;
  const std::vector<unsigned> indices = selection.indices();
  for (std::size_t i = 0; i < indices.size(); ++i) out.pcrs[indices[i]] = values.values[i];
  return out;
}

// The log that was named, or this boot's if there is one.
Result<std::optional<EventLog>> find_log(const std::string& named, const std::string& usual) {
  std::error_code ignored;
  if (named.empty() && !std::filesystem::exists(usual, ignored)) {
    return std::optional<EventLog>();
  }
  CKPTSEAL_ASSIGN(EventLog log, read_event_log(named.empty() ? usual : named));
  return std::optional<EventLog>(std::move(log));
}

std::string reason_of(const Forecast& forecast) {
  switch (forecast.verdict) {
    case Forecast::Verdict::opens:
      return "opens now";
    case Forecast::Verdict::opens_with_pin:
      return "opens now, with its PIN";
    case Forecast::Verdict::opens_with_answer:
      return "opens now, once it is approved online";
    case Forecast::Verdict::not_approved:
      return fmt::format("nobody has approved the state of this host for the domain {}",
                         forecast.authority->domain);
    case Forecast::Verdict::other_pcrs:
      return "this host is not in the state that it was sealed for";
    case Forecast::Verdict::revoked:
      return "it is revoked: the epoch of this host is above that of its policy";
    case Forecast::Verdict::unknown:
    case Forecast::Verdict::never:
      break;
  }
  return "it never opens on this host, whatever its state";
}

// A PCR in the way: whether the log tells what it holds, and the events that made it so.
Json describe_pcr(unsigned pcr, const PcrState& now, const std::optional<EventLog>& log) {
  Json json = {{"pcr", pcr}, {"purpose", std::string(pcr_purpose(pcr))}};
  json["value"] = to_hex(now.pcrs.at(pcr));
  json["log_agrees"] = log ? Json(log->replay()[pcr] == now.pcrs.at(pcr)) : Json();
  Json& events = json["events"] = Json::array();
  if (!log) return json;
  for (const LoggedEvent& event : log->events()) {
    if (event.pcr == pcr && event.extends()) events.push_back(describe(event));
  }
  return json;
}

std::string headline_of(const Json& pcr) {
  const auto purpose = pcr["purpose"].get<std::string>();
  return fmt::format("  PCR {}{}\n", pcr["pcr"].get<unsigned>(),
                     purpose.empty() ? "" : fmt::format(" ({})", purpose));
}

std::string text_of(const Json& pcr) {
  std::string out = headline_of(pcr);
  if (pcr["log_agrees"].is_null()) return out + "    there is no event log\n";
  if (!pcr["log_agrees"].get<bool>()) {
    out += "    the log does not tell how it came to its value; it may be of another boot\n";
  }
  for (const Json& event : pcr["events"]) out += fmt::format("    {}\n", event.get<std::string>());
  return out;
}

// A PCR that has changed since the file was opened last.
Json describe_change(unsigned pcr, const PcrState& now, const LastOpening& last,
                     const std::optional<EventLog>& log) {
  const auto then = last.state.pcrs.pcrs.find(pcr);
  const bool asked = then != last.state.pcrs.pcrs.end();
  Json json = {{"pcr", pcr}, {"purpose", std::string(pcr_purpose(pcr))}};
  json["value_then"] = asked ? Json(to_hex(then->second)) : Json();
  json["value"] = to_hex(now.pcrs.at(pcr));
  json["log_tells"] = Json();
  Json& events = json["events"] = Json::array();
  if (!log || !last.log) return json;
  json["log_tells"] = log->replay().at(pcr) == now.pcrs.at(pcr) &&
                      (!asked || last.log->replay().at(pcr) == then->second);
  for (const EventChange& change : event_changes(*last.log, *log, pcr)) {
    events.push_back({{"change", std::string(change.word())}, {"event", change.event}});
  }
  return json;
}

std::string text_of_change(const Json& pcr) {
  std::string out = headline_of(pcr);
  for (const Json& event : pcr["events"]) {
    out += fmt::format("    {}: {}\n", event["change"].get<std::string>(),
                       event["event"].get<std::string>());
  }
  if (pcr["log_tells"].is_null()) {
    out += "    the event logs of then and now are not both at hand\n";
  } else if (!pcr["log_tells"].get<bool>()) {
    out += "    something that the logs of then and now do not have has extended it\n";
  }
  return out;
}

// docs/policies.md, "Explain".
bool has_changed(unsigned pcr, const PcrState& now, const LastOpening& last,
                 const std::optional<EventLog>& log) {
  const Digest& value = now.pcrs.at(pcr);
  const auto then = last.state.pcrs.pcrs.find(pcr);
  if (then != last.state.pcrs.pcrs.end()) return then->second != value;
  if (!log || !last.log || log->replay().at(pcr) != value) return false;
  return last.log->replay().at(pcr) != value;
}

void add_changes(const std::optional<LastOpening>& last, const PcrState& now,
                 const std::optional<EventLog>& log, Outcome& outcome) {
  if (!last) {
    outcome.json["since_opened"] = Json();
    outcome.text += "That this host's TPM has opened it before is not remembered.\n";
    return;
  }
  const std::string time = utc_time(last->state.time);
  Json since = {{"opened", time}, {"pcrs", Json::array()}};
  std::string text;
  for (const auto& [pcr, value] : now.pcrs) {
    if (!has_changed(pcr, now, *last, log)) continue;
    since["pcrs"].push_back(describe_change(pcr, now, *last, log));
    text += text_of_change(since["pcrs"].back());
  }
  outcome.text += text.empty()
                      ? fmt::format(
                            "No PCR that it asks for has changed since it was opened here "
                            "last, on {}.\n",
                            time)
                      : fmt::format("Since it was opened here last, on {}, these have changed:\n{}",
                                    time, text);
  outcome.json["since_opened"] = std::move(since);
}

Result<Outcome> explain(const Globals& globals, const ExplainOptions& options, Console& console) {
  ReadingOptions reading_options;
  reading_options.file = options.file;
  CKPTSEAL_ASSIGN(const auto reading,
                  Reading::prepare(globals, reading_options, Reading::Key::none));
  const HostAccess& host = reading->host();
  CKPTSEAL_TRY(host.require_provisioned());
  if (host.has_token()) {
    return Error{Code::usage,
                 "This host has a token and no TPM: no state of it stands in the way of a file.",
                 0};
  }
  CKPTSEAL_ASSIGN(const std::optional<EventLog> log, find_log(options.log, globals.event_log));
  const HostRecord& record = host.record().record();
  const InspectJob job{reading->job(), is_for_tpm(record.storage_parent.public_area.name())};
  const Result<HelperReport> report = inspect_in_helper(job, reading->events(console));
  if (!report.ok()) return with_subject(reading->name(), report.error());
  CKPTSEAL_ASSIGN(const ReleaseInputs inputs,
                  ReleaseInputs::find(host.state(), folder_of(options.file)));
  CKPTSEAL_ASSIGN(const PcrState now, present_state(host));
  const ForeseenState state{now, record.policy_state().epoch};
  const std::vector<Approval> approvals = inputs.help({}).approvals().usable;
  Outcome outcome;
  Json& slots = outcome.json["slots"] = Json::array();
  bool opens = false;
  for (const proto::SlotReport& slot : report.value().slots()) {
    const Result<Policy> policy = Policy::parse(as_bytes(slot.policy()));
    if (slot.damaged() || !policy.ok()) continue;
    const Forecast found = forecast(policy.value(), state, approvals);
    opens |= found.verdict <= Forecast::Verdict::opens_with_answer;
    Json json = {{"index", slot.index()},
                 {"verdict", std::string(verdict_word(found.verdict))},
                 {"wants", policy_words(policy.value())},
                 {"message", reason_of(found)}};
    outcome.text += fmt::format("Slot {} wants {}: {}.\n", slot.index(),
                                policy_words(policy.value()), reason_of(found));
    Json& pcrs = json["pcrs"] = Json::array();
    for (const unsigned pcr : found.pcrs) {
      pcrs.push_back(describe_pcr(pcr, now, log));
      outcome.text += text_of(pcrs.back());
    }
    slots.push_back(std::move(json));
  }
  if (slots.empty()) {
    return Error{Code::no_slot,
                 fmt::format("{} has no slot for the TPM of this host; see 'ckpt-seal inspect' for "
                             "those that it has.",
                             reading->name()),
                 0};
  }
  CheckpointId id{};
  const ByteView said = as_bytes(report.value().checkpoint_id());
  if (said.size() == id.size()) std::copy(said.begin(), said.end(), id.begin());
  add_changes(last_opening(host.state(), id), now, log, outcome);
  if (!opens) outcome.exit_code = static_cast<int>(Code::policy);
  return outcome;
}

}  // namespace

void add_policy_explain_verb(const Verb& policy) {
  auto options = std::make_shared<ExplainOptions>();
  const Verb verb = policy.verb("explain", "Say why this host would not open a sealed file now",
                                "ckpt-seal policy explain x.cks");
  verb.option("FILE", options->file, "Sealed file").required();
  verb.option("--log", options->log, "Event log of this boot (default: the kernel's)")
      .value_name("FILE");
  verb.does([options](const Globals& globals, Console& console) {
    return explain(globals, *options, console);
  });
}

}  // namespace ckptseal
