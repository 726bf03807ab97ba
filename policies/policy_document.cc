// SPDX-License-Identifier: Apache-2.0
//
// nlohmann::json reads and writes; every member that is not known is refused by its name.
#include "policies/policy_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/utc_time.h"
#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned schema_version = 1;
constexpr std::size_t largest_document = 65536;
constexpr std::uint32_t usual_index = 0x01000000;  // stands in for an open one while it is checked

class Reader {
 public:
  explicit Reader(const std::string& what) : what_(what) {}

  Result<PolicyDocument> document(std::string_view text) {
    if (text.size() > largest_document) return refused("it is longer than 65536 bytes");
    const Json json = parse(text);
    if (twice_) return refused(fmt::format("it has \"{}\" twice in one place", *twice_));
    if (!json.is_object()) return refused("it is no JSON object");
    CKPTSEAL_TRY(only(json, {"schema_version", "all_of"}));
    if (!json.contains("schema_version") || json["schema_version"] != schema_version) {
      return refused("its schema_version is not 1");
    }
    if (!json.contains("all_of")) return refused("it has no \"all_of\"");
    if (!json["all_of"].is_array()) return refused("\"all_of\" is no list");
    PolicyDocument out;
    Json terms = Json::array();
    for (const Json& term : json["all_of"]) {
      CKPTSEAL_ASSIGN(const bool taken, take_limit(term, out.limits));
      if (!taken) terms.push_back(term);
    }
    CKPTSEAL_ASSIGN(out.policy, list(terms, 0));
    if (Status checked = check_open(out.policy); !checked.ok()) {
      Error error = std::move(checked).error();
      error.message = fmt::format("{}: {}", what_, error.message);
      return error;
    }
    return out;
  }

 private:
  static constexpr unsigned deepest = 8;

  Error refused(std::string_view why) const {
    return {
        Code::usage,
        fmt::format("{} is refused: {}; correct it, or make one with 'ckpt-seal policy create'.",
                    what_, why),
        0};
  }

  // Discarded when it is no JSON. The library takes the last of two members of one name.
  Json parse(std::string_view text) {
    std::vector<std::set<std::string>> names;
    const auto look = [&](int, Json::parse_event_t event, Json& value) {
      if (event == Json::parse_event_t::object_start) names.emplace_back();
      if (event == Json::parse_event_t::object_end) names.pop_back();
      if (event == Json::parse_event_t::key) {
        const auto name = value.get<std::string>();
        if (!names.back().insert(name).second) twice_ = name;
      }
      return true;
    };
    return Json::parse(text, look, false);
  }

  Status only(const Json& object, const std::set<std::string>& known) const {
    for (const auto& [name, value] : object.items()) {
      if (known.count(name) == 0) return refused(fmt::format("\"{}\" is not known there", name));
    }
    return {};
  }

  // False for what is a term of the policy.
  Result<bool> take_limit(const Json& json, UseLimits& limits) const {
    if (!json.is_object() || json.size() != 1) return false;
    const std::string name = json.begin().key();
    const Json& value = json.begin().value();
    if (name == "restores") {
      if (limits.restores != 0) return refused("it has \"restores\" twice");
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0 ||
          value.get<std::uint64_t>() > UINT32_MAX) {
        return refused("\"restores\" is no number from 1 to 4294967295");
      }
      limits.restores = value.get<std::uint32_t>();
      return true;
    }
    if (name != "not_after") return false;
    if (limits.not_after != 0) return refused("it has \"not_after\" twice");
    const std::optional<std::uint64_t> time =
        value.is_string() ? parse_utc_time(value.get<std::string>()) : std::nullopt;
    if (!time || *time == 0) {
      return refused("\"not_after\" is no time like \"2027-01-31T12:00:00Z\"");
    }
    limits.not_after = *time;
    return true;
  }

  Result<Policy> list(const Json& json, unsigned depth) {
    if (!json.is_array()) return refused("\"all_of\" is no list");
    Policy out;
    for (const Json& term : json) {
      CKPTSEAL_ASSIGN(PolicyTerm read, this->term(term, depth));
      out.terms.push_back(std::move(read));
    }
    // The order in which a TPM can be asked; people need not know it.
    std::stable_partition(out.terms.begin(), out.terms.end(), begins_with_approvals);
    return out;
  }

  static bool begins_with_approvals(const PolicyTerm& term) {
    if (std::holds_alternative<ApprovalTerm>(term)) return true;
    const auto* any = std::get_if<AnyTerm>(&term);
    return any != nullptr &&
           std::any_of(any->branches.begin(), any->branches.end(), [](const Policy& branch) {
             return !branch.terms.empty() && begins_with_approvals(branch.terms.front());
           });
  }

  Result<PolicyTerm> term(const Json& json, unsigned depth) {
    if (!json.is_object() || json.size() != 1) {
      return refused("a term is not an object with one member");
    }
    const std::string name = json.begin().key();
    const Json& value = json.begin().value();
    if (name == "pcrs") return pcrs(value);
    if (name == "approvals") return approvals(value);
    if (name == "epoch") return epoch(value);
    if (name == "pin") {
      if (value != true) return refused("\"pin\" is not true");
      return PolicyTerm(PinTerm{});
    }
    if (name == "online") return online(value);
    if (name == "any_of") return any(value, depth);
    if (name == "restores" || name == "not_after") {
      return refused(fmt::format("\"{}\" is for the whole checkpoint, not for a branch", name));
    }
    return refused(fmt::format("\"{}\" is no term", name));
  }

  Result<PolicyTerm> pcrs(const Json& json) const {
    if (json.is_string()) {
      const auto text = json.get<std::string>();
      Result<PcrSelection> selection = PcrSelection::parse(text);
      if (!selection.ok()) return within(std::move(selection).error());
      return PolicyTerm(PcrTerm{{selection.value(), {}}});
    }
    if (!json.is_object()) return refused("\"pcrs\" is neither a selection nor values");
    std::uint32_t mask = 0;
    std::vector<std::pair<unsigned, Digest>> values;
    for (const auto& [name, value] : json.items()) {
      unsigned pcr = PcrSelection::count;
      const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), pcr);
      const std::optional<Bytes> bytes =
          value.is_string() ? from_hex(value.get<std::string>()) : std::nullopt;
      if (error != std::errc() || stop != name.data() + name.size() || pcr >= PcrSelection::count ||
          std::to_string(pcr) != name || !bytes || bytes->size() != Digest().size()) {
        return refused("\"pcrs\" has a value that is not 64 hexadecimal digits of a PCR 0 to 23");
      }
      Digest digest{};
      std::copy(bytes->begin(), bytes->end(), digest.begin());
      values.emplace_back(pcr, digest);
      mask |= 1U << pcr;
    }
    Result<PcrSelection> selection = PcrSelection::of_mask(mask);
    if (!selection.ok()) return within(std::move(selection).error());
    std::sort(values.begin(), values.end());
    PcrTerm out{{selection.value(), {}}};
    for (const auto& [pcr, value] : values) out.pcrs.values.push_back(value);
    return PolicyTerm(std::move(out));
  }

  Result<EcPoint> public_key(const Json& json, std::string_view whose) const {
    const std::optional<Bytes> point = json.contains("public_key") && json["public_key"].is_string()
                                           ? from_hex(json["public_key"].get<std::string>())
                                           : std::nullopt;
    if (!point || point->size() != 65 || point->front() != 0x04) {
      return refused(
          fmt::format("the public_key of {} is not 04 and the coordinates of a P-256 key", whose));
    }
    ByteReader in(ByteView(*point).subspan(1));
    return EcPoint{in.array<32>(), in.array<32>()};
  }

  Result<PolicyTerm> online(const Json& json) const {
    if (!json.is_object()) return refused("\"online\" is no object");
    CKPTSEAL_TRY(only(json, {"public_key"}));
    OnlineTerm out;
    CKPTSEAL_ASSIGN(out.key, public_key(json, "its online approval"));
    return PolicyTerm(out);
  }

  Result<PolicyTerm> approvals(const Json& json) const {
    if (!json.is_object()) return refused("\"approvals\" is no object");
    CKPTSEAL_TRY(only(json, {"public_key", "domain", "purpose"}));
    ApprovalTerm out;
    const auto text = [&json](const char* name) {
      return json.contains(name) && json[name].is_string() ? json[name].get<std::string>()
                                                           : std::string();
    };
    CKPTSEAL_ASSIGN(out.key, public_key(json, "its approvals"));
    out.domain = text("domain");
    if (json.contains("purpose")) {
      const std::string purpose = text("purpose");
      if (purpose != "restore" && purpose != "migrate") {
        return refused("the purpose of its approvals is neither \"restore\" nor \"migrate\"");
      }
      if (purpose == "migrate") out.purpose = ApprovalPurpose::migrate;
    }
    return PolicyTerm(std::move(out));
  }

  Result<PolicyTerm> epoch(const Json& json) const {
    if (json == true) return PolicyTerm(EpochTerm{});
    if (!json.is_object()) return refused("\"epoch\" is neither true nor an object");
    CKPTSEAL_TRY(only(json, {"nv_index", "at_most"}));
    if (!json.contains("nv_index") || !json["nv_index"].is_number_unsigned() ||
        !json.contains("at_most") || !json["at_most"].is_number_unsigned() ||
        json["nv_index"].get<std::uint64_t>() >> 24 != 0x01) {
      return refused("\"epoch\" names no NV index of a TPM and highest value");
    }
    return PolicyTerm(
        EpochTerm{json["nv_index"].get<std::uint32_t>(), json["at_most"].get<std::uint64_t>()});
  }

  Result<PolicyTerm> any(const Json& json, unsigned depth) {
    if (!json.is_array()) return refused("\"any_of\" is no list");
    if (depth == deepest) return refused("\"any_of\" is nested far too deep");
    AnyTerm out;
    for (const Json& branch : json) {
      if (branch.is_object() && branch.size() == 1 && branch.contains("all_of")) {
        CKPTSEAL_ASSIGN(Policy read, list(branch["all_of"], depth + 1));
        out.branches.push_back(std::move(read));
      } else {
        CKPTSEAL_ASSIGN(PolicyTerm read, term(branch, depth + 1));
        out.branches.push_back({{std::move(read)}});
      }
    }
    return PolicyTerm(std::move(out));
  }

  Error within(Error error) const {
    error.message = fmt::format("{}: {}", what_, error.message);
    return error;
  }

  const std::string& what_;
  std::optional<std::string> twice_;
};

Json list_of(const Policy& policy);

std::string hex_of(const EcPoint& key) { return "04" + to_hex(key.x) + to_hex(key.y); }

struct Writer {
  Json operator()(const PcrTerm& term) const {
    if (term.pcrs.values.empty()) return {{"pcrs", term.pcrs.selection.text()}};
    Json values = Json::object();
    const std::vector<unsigned> indices = term.pcrs.selection.indices();
    for (std::size_t i = 0; i < indices.size(); ++i) {
      values[std::to_string(indices[i])] = to_hex(term.pcrs.values[i]);
    }
    return {{"pcrs", std::move(values)}};
  }
  Json operator()(const ApprovalTerm& term) const {
    Json out = {{"public_key", hex_of(term.key)}, {"domain", term.domain}};
    if (term.purpose == ApprovalPurpose::migrate) out["purpose"] = "migrate";
    return {{"approvals", std::move(out)}};
  }
  Json operator()(const EpochTerm& term) const {
    if (term.index == 0) return {{"epoch", true}};
    return {{"epoch", {{"nv_index", term.index}, {"at_most", term.at_most}}}};
  }
  Json operator()(const PinTerm& /*term*/) const { return {{"pin", true}}; }
  Json operator()(const OnlineTerm& term) const {
    return {{"online", {{"public_key", hex_of(term.key)}}}};
  }
  Json operator()(const AnyTerm& term) const {
    Json branches = Json::array();
    for (const Policy& branch : term.branches) {
      Json terms = list_of(branch);
      branches.push_back(terms.size() == 1 ? terms[0] : Json{{"all_of", std::move(terms)}});
    }
    return {{"any_of", std::move(branches)}};
  }
};

Json list_of(const Policy& policy) {
  Json out = Json::array();
  for (const PolicyTerm& term : policy.terms) out.push_back(std::visit(Writer(), term));
  return out;
}

// `change` is called with each term but AnyTerm, whose branches it goes through.
template <typename Change>
Status each_term(Policy& policy, const Change& change) {
  for (PolicyTerm& term : policy.terms) {
    auto* any = std::get_if<AnyTerm>(&term);
    if (any == nullptr) {
      CKPTSEAL_TRY(change(term));
      continue;
    }
    for (Policy& branch : any->branches) CKPTSEAL_TRY(each_term(branch, change));
  }
  return {};
}

struct Words {
  std::string operator()(const PcrTerm& term) const { return term.pcrs.selection.text(); }
  std::string operator()(const ApprovalTerm& term) const {
    return fmt::format("{} that its authority approved for the domain \"{}\"",
                       term.purpose == ApprovalPurpose::migrate ? "a migration" : "PCRs",
                       term.domain);
  }
  std::string operator()(const EpochTerm& term) const {
    return term.index == 0 ? "the epoch of the sealing"
                           : fmt::format("an epoch of at most {}", term.at_most);
  }
  std::string operator()(const PinTerm& /*term*/) const { return "the PIN"; }
  std::string operator()(const OnlineTerm& /*term*/) const {
    return "an online approval for each opening";
  }
  std::string operator()(const AnyTerm& term) const {
    std::vector<std::string> branches;
    branches.reserve(term.branches.size());
    for (const Policy& branch : term.branches) branches.push_back(policy_words(branch));
    return fmt::format("one of ({})", fmt::join(branches, "; or "));
  }
};

}  // namespace

Result<PolicyDocument> parse_policy_document(std::string_view text, const std::string& what) {
  return Reader(what).document(text);
}

std::string policy_document(const Policy& policy, const UseLimits& limits) {
  Json terms = list_of(policy);
  if (limits.restores != 0) terms.push_back({{"restores", limits.restores}});
  if (limits.not_after != 0) terms.push_back({{"not_after", utc_time(limits.not_after)}});
  const Json json = {{"schema_version", schema_version}, {"all_of", std::move(terms)}};
  return json.dump(2) + "\n";
}

Result<Policy> complete(const Policy& policy, const PolicyState& state, const std::string& whose) {
  Policy out = policy;
  CKPTSEAL_TRY(each_term(out, [&](PolicyTerm& term) -> Status {
    if (auto* epoch = std::get_if<EpochTerm>(&term); epoch != nullptr && epoch->index == 0) {
      *epoch = state.epoch;
    }
    auto* pcrs = std::get_if<PcrTerm>(&term);
    if (pcrs == nullptr || !pcrs->pcrs.values.empty()) return {};
    const std::vector<unsigned> known = state.pcrs.selection.indices();
    for (const unsigned wanted : pcrs->pcrs.selection.indices()) {
      const auto at = std::find(known.begin(), known.end(), wanted);
      if (at == known.end()) {
        return Error{Code::usage,
                     fmt::format("The policy wants PCR {}, of which the record of {} says nothing: "
                                 "provision that host with --pcrs, or leave the PCR out.",
                                 wanted, whose),
                     0};
      }
      pcrs->pcrs.values.push_back(state.pcrs.values[static_cast<std::size_t>(at - known.begin())]);
    }
    return {};
  }));
  CKPTSEAL_TRY(out.check());
  return out;
}

Policy opened(const Policy& policy) {
  Policy out = policy;
  const Status done = each_term(out, [](PolicyTerm& term) -> Status {
    if (auto* epoch = std::get_if<EpochTerm>(&term)) *epoch = {};
    if (auto* pcrs = std::get_if<PcrTerm>(&term)) pcrs->pcrs.values.clear();
    return {};
  });
  (void)done.ok();  // nothing in it fails
  return out;
}

// As if each open term had a value of its own.
Status check_open(const Policy& policy) {
  Policy filled = policy;
  CKPTSEAL_TRY(each_term(filled, [](PolicyTerm& term) -> Status {
    auto* epoch = std::get_if<EpochTerm>(&term);
    if (epoch != nullptr && epoch->index == 0) epoch->index = usual_index;
    auto* pcrs = std::get_if<PcrTerm>(&term);
    if (pcrs != nullptr && pcrs->pcrs.values.empty()) {
      pcrs->pcrs.values.resize(pcrs->pcrs.selection.size());
    }
    return {};
  }));
  return filled.check();
}

std::string policy_words(const Policy& policy) {
  if (policy.terms.empty()) return "nothing";
  std::vector<std::string> out;
  out.reserve(policy.terms.size());
  for (const PolicyTerm& term : policy.terms) out.push_back(std::visit(Words(), term));
  return fmt::format("{}", fmt::join(out, ", "));
}

std::vector<std::string> limit_words(const UseLimits& limits) {
  std::vector<std::string> out;
  if (limits.restores != 0) {
    out.push_back(limits.restores == 1 ? "at most one restore"
                                       : fmt::format("at most {} restores", limits.restores));
  }
  if (limits.not_after != 0) out.push_back("not after " + utc_time(limits.not_after));
  return out;
}

}  // namespace ckptseal
