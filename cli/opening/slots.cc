// SPDX-License-Identifier: Apache-2.0
#include "cli/opening/slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/utc_time.h"
#include "keymgr/tpm2/slot.h"
#include "policies/policy_document.h"

namespace ckptseal {
namespace {

// What its holder needs, whether that says anything of the state of the machine which opens it, and
// whether somebody has to say yes each time.
void needs(Json& json, std::string what, bool measured, bool asks_online) {
  json["needs"] = std::move(what);
  json["measured_state"] = measured;
  json["online_approval"] = asks_online;
}

// Whether there is no way through it that says nothing of PCRs.
bool is_measured(const Policy& policy) {
  return std::any_of(policy.terms.begin(), policy.terms.end(), [](const PolicyTerm& term) {
    if (const auto* any = std::get_if<AnyTerm>(&term)) {
      return std::all_of(any->branches.begin(), any->branches.end(), is_measured);
    }
    return std::holds_alternative<PcrTerm>(term) || std::holds_alternative<ApprovalTerm>(term);
  });
}

void describe_tpm2(const proto::SlotReport& slot, Json& json) {
  json["kind"] = "tpm2";
  json["recipient"] = hex_of(slot.recipient());
  json["storage_parent"] = hex_of(slot.storage_parent());
  const Result<Policy> policy = Policy::parse(as_bytes(slot.policy()));
  if (!policy.ok()) return;  // was good where the slot was parsed
  json["policy"] = Json::parse(policy_document(policy.value()))["all_of"];
  needs(json, fmt::format("its TPM with {}", policy_words(policy.value())),
        is_measured(policy.value()), policy.value().always_online());
}

void describe_passphrase(const proto::SlotReport& slot, Json& json) {
  json["kind"] = "passphrase";
  json["memory_kib"] = slot.memory_kib();
  json["passes"] = slot.passes();
  json["lanes"] = slot.lanes();
  needs(json,
        fmt::format("the passphrase, and {} of memory",
                    human_size(std::uint64_t{slot.memory_kib()} * 1024)),
        false, false);
}

// Both numbers were checked where the slot was parsed.
void describe_public_key(const proto::SlotReport& slot, Json& json) {
  constexpr const char* algorithms[] = {"", "ecdh-p256", "ecdh-p384", "x25519", "rsa-oaep-sha256"};
  constexpr const char* sources[] = {"", "certificate", "token", "public_key"};
  const std::string source = sources[slot.source() % std::size(sources)];
  json["kind"] = "public_key";
  json["recipient"] = hex_of(slot.key_id());
  json["algorithm"] = algorithms[slot.algorithm() % std::size(algorithms)];
  json["source"] = source;
  json["certificate"] = slot.certificate().empty() ? Json() : Json(hex_of(slot.certificate()));
  json["label"] = slot.label();
  needs(json, source == "token" ? "the token with its private key, and the PIN" : "its private key",
        false, false);
}

void describe_hybrid(const proto::SlotReport& slot, Json& json) {
  json["kind"] = "hybrid";
  json["recipient"] = hex_of(slot.key_id());
  json["label"] = slot.label();
  needs(json, "its post-quantum private key", false, false);
}

void describe_recovery(const proto::SlotReport& slot, Json& json) {
  const std::string id = hex_of(slot.recovery_id());
  json["kind"] = "recovery";
  json["recovery_id"] = id;
  needs(json, fmt::format("the paper with recovery id {}", id), false, false);
}

void describe(const proto::SlotReport& slot, Json& json);

// It says something of the machine's state when it cannot be opened without a share that does, and
// asks somebody likewise.
void describe_threshold(const proto::SlotReport& slot, Json& json) {
  json["kind"] = "threshold";
  json["threshold"] = slot.needed();
  Json shares = Json::array();
  std::uint32_t unmeasured = 0;
  std::uint32_t unasked = 0;
  for (int i = 0; i < slot.shares_size(); ++i) {
    Json share = {{"number", i + 1}};
    describe(slot.shares(i), share);
    if (!share.value("measured_state", false)) ++unmeasured;
    if (!share.value("online_approval", false)) ++unasked;
    shares.push_back(std::move(share));
  }
  const std::size_t count = shares.size();
  json["shares"] = std::move(shares);
  needs(json, fmt::format("{} of {} together", slot.needed(), count), unmeasured < slot.needed(),
        unasked < slot.needed());
}

void describe(const proto::SlotReport& slot, Json& json) {
  if (slot.damaged()) {
    json["kind"] = "damaged";
    return;
  }
  switch (static_cast<SlotKind>(slot.kind())) {
    case SlotKind::tpm2:
      return describe_tpm2(slot, json);
    case SlotKind::passphrase:
      return describe_passphrase(slot, json);
    case SlotKind::public_key:
      return describe_public_key(slot, json);
    case SlotKind::recovery:
      return describe_recovery(slot, json);
    case SlotKind::threshold:
      return describe_threshold(slot, json);
    case SlotKind::hybrid:
      return describe_hybrid(slot, json);
  }
  json["kind"] = fmt::format("unknown ({})", slot.kind());
}

// Whose it is, as far as its kind says that.
std::string whose(const Json& slot) {
  const auto word = [&](const char* name) { return slot[name].get<std::string>(); };
  const std::string kind = word("kind");
  if (kind == "tpm2") return fmt::format(" of host {}", word("recipient"));
  if (kind == "public_key") {
    return fmt::format(" {} ({}, {})", word("recipient"), word("algorithm"), word("label"));
  }
  if (kind == "hybrid") return fmt::format(" {} ({})", word("recipient"), word("label"));
  return "";
}

// Where it opens when no state of a machine is asked for: a TPM is still that of one machine.
const char* where(const Json& slot) {
  if (slot["measured_state"].get<bool>()) return "";
  const auto kind = slot["kind"].get<std::string>();
  return kind == "tpm2" || kind == "threshold" ? "; in any state of the machine"
                                               : "; on any machine";
}

// Nothing of a slot from the sealing; of a share neither. A name is said where it was verified.
std::string added_by(const Json& slot) {
  if (!slot.contains("adder")) return "";
  const auto adder = slot["adder"].get<std::string>();
  std::string out;
  if (adder == "unsigned") {
    out = "; added by somebody who has not signed that";
  } else if (adder != "origin") {
    out = slot["adder_name"].is_null() ? "; added by host " + adder
                                       : "; added by " + slot["adder_name"].get<std::string>();
    if (slot["vouched_for"].is_null()) out += " (signature not checked)";
  }
  if (slot["vouched_for"] == false) out += "; nobody vouches for it who is trusted here";
  return out;
}

std::string line_of(const Json& slot, const char* number, std::size_t indent) {
  std::string line = fmt::format("{:{}}{}: {}{}", "", indent, slot[number].get<int>(),
                                 slot["kind"].get<std::string>(), whose(slot));
  if (slot.contains("needs")) {
    line += fmt::format(", needs {}{}", slot["needs"].get<std::string>(), where(slot));
  }
  return line + added_by(slot) + "\n";
}

}  // namespace

Json host_or_unsigned(const std::string& identity) {
  return all_zero(as_bytes(identity)) ? Json("unsigned") : Json(hex_of(identity));
}

std::function<bool(const SlotBody&)> is_for_tpm(const TpmName& parent) {
  return [parent](const SlotBody& body) {
    return body.kind == static_cast<std::uint16_t>(SlotKind::tpm2) &&
           Tpm2Slot::parent_of(body.bytes) == parent;
  };
}

Json describe_slot(const proto::SlotReport& slot) {
  Json json = {{"index", slot.index()}};
  json["adder"] = slot.adder().empty() ? Json("origin") : host_or_unsigned(slot.adder());
  json["adder_name"] = slot.adder_name().empty() ? Json() : Json(slot.adder_name());
  json["vouched_for"] = slot.not_checked() ? Json() : Json(!slot.not_vouched());
  describe(slot, json);
  return json;
}

Json describe_limits(const HelperReport& report, const Json& slots) {
  if (report.restores() == 0 && report.not_after() == 0) return {};
  // Of slots that were not described nobody knows.
  const bool online = slots.size() == report.slot_count() &&
                      std::all_of(slots.begin(), slots.end(), [](const Json& slot) {
                        return slot.value("online_approval", false);
                      });
  return {{"restores", report.restores() == 0 ? Json() : Json(report.restores())},
          {"not_after", report.not_after() == 0 ? Json() : Json(utc_time(report.not_after()))},
          {"bind", online ? "online_approval" : "honest_host"}};
}

std::string limits_line(const Json& limits) {
  if (limits.is_null()) return "";
  const bool online = limits["bind"] == "online_approval";
  std::string line;
  if (!limits["restores"].is_null()) {
    const auto restores = limits["restores"].get<std::uint32_t>();
    line += fmt::format("{} restore{} on {}", restores, restores == 1 ? "" : "s",
                        online ? "all hosts together" : "each host");
  }
  if (!limits["not_after"].is_null()) {
    line += fmt::format("{}not after {}", line.empty() ? "" : ", ",
                        limits["not_after"].get<std::string>());
  }
  return fmt::format("Limits:      {}; {}\n", line,
                     online ? "they bind root, too, by online approval"
                            : "they bind an honest host, and no root of it");
}

std::string slot_lines(const Json& slot) {
  std::string lines = line_of(slot, "index", 2);
  if (!slot.contains("shares")) return lines;
  for (const Json& share : slot["shares"]) lines += line_of(share, "number", 5);
  return lines;
}

}  // namespace ckptseal
