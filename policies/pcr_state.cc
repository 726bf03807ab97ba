// SPDX-License-Identifier: Apache-2.0
//
// JSON by nlohmann::json, and the rules that it does not know.
#include "policies/pcr_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

namespace ckptseal {
namespace {

using nlohmann::json;

constexpr int deepest = 8;

Error refused(const std::string& why) {
  return {Code::integrity,
          fmt::format("This is no document of PCR values because {}: make one with ckpt-seal "
                      "policy predict.",
                      why),
          0};
}

// nullopt for what is no JSON, is nested too deep, or names a member twice, of which
// nlohmann::json would take the last.
std::optional<json> parse_json(std::string_view text) {
  std::vector<std::set<std::string>> names;
  bool sound = true;
  const auto look = [&](int depth, json::parse_event_t event, json& value) {
    if (depth > deepest) sound = false;
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end && !names.empty()) names.pop_back();
    if (event == json::parse_event_t::key) {
      sound = sound && !names.empty() && names.back().insert(value.get<std::string>()).second;
    }
    return sound;
  };
  json out = json::parse(text.begin(), text.end(), look, false);
  if (!sound || out.is_discarded()) return std::nullopt;
  return out;
}

// "0" to "23", written in one way.
std::optional<unsigned> parse_pcr(const std::string& text) {
  for (unsigned pcr = 0; pcr < PcrSelection::count; ++pcr) {
    if (text == std::to_string(pcr)) return pcr;
  }
  return std::nullopt;
}

std::optional<Digest> parse_digest(const json& value) {
  if (!value.is_string()) return std::nullopt;
  const std::optional<Bytes> bytes = from_hex(value.get<std::string>());
  Digest out{};
  if (!bytes || bytes->size() != out.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  if (to_hex(out) != value.get<std::string>()) return std::nullopt;
  return out;
}

}  // namespace

Result<PcrState> PcrState::parse(std::string_view text) {
  if (text.size() > largest) return refused("it is too large");
  const std::optional<json> document = parse_json(text);
  if (!document || !document->is_object()) return refused("it is not one object in JSON");
  for (const auto& [name, value] : document->items()) {
    if (name != "schema_version" && name != "bank" && name != "pcrs") {
      return refused("it has a member that is not known");
    }
  }
  const auto member = [&](const char* name) { return document->value(name, json()); };
  if (!member("schema_version").is_number_integer() || member("schema_version") != 1) {
    return refused("its schema_version is not 1");
  }
  if (member("bank") != "sha256") return refused("its bank is not sha256");
  const json pcrs = member("pcrs");
  if (!pcrs.is_object() || pcrs.empty()) return refused("it has no pcrs");
  PcrState out;
  for (const auto& [name, value] : pcrs.items()) {
    const std::optional<unsigned> pcr = parse_pcr(name);
    const std::optional<Digest> digest = parse_digest(value);
    if (!pcr) return refused("a name in pcrs is no number from 0 to 23");
    if (!digest) {
      return refused(fmt::format("PCR {} is not 64 hexadecimal digits in lower case", *pcr));
    }
    out.pcrs[*pcr] = *digest;
  }
  return out;
}

std::string PcrState::serialize() const {
  nlohmann::ordered_json document = {{"schema_version", 1}, {"bank", "sha256"}};
  document["pcrs"] = nlohmann::ordered_json::object();
  for (const auto& [pcr, value] : pcrs) document["pcrs"][std::to_string(pcr)] = to_hex(value);
  return document.dump(2) + "\n";
}

Result<PcrValues> PcrState::values(const PcrSelection& selection) const {
  PcrValues out{selection, {}};
  for (const unsigned pcr : selection.indices()) {
    const auto found = pcrs.find(pcr);
    if (found == pcrs.end()) {
      return Error{Code::usage,
                   fmt::format("The document of PCR values has none for PCR {}: select others, or "
                               "make the document with --tpm2-pcrs {}.",
                               pcr, selection.text()),
                   0};
    }
    out.values.push_back(found->second);
  }
  return out;
}

}  // namespace ckptseal
