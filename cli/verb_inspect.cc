// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal inspect`: what a sealed file says of itself, without a key; with one also its images.
#include <fmt/format.h>

#include <iterator>

#include "base/output_file.h"
#include "cli/reading.h"
#include "policies/pcr.h"
#include "sealing/sealed_file.h"

namespace ckptseal {
namespace {

struct InspectOptions {
  ReadingOptions reading;
  int export_slot = -1;
  std::string output;
};

void describe_tpm2(const proto::SlotReport& slot, Json& json) {
  json["kind"] = "tpm2";
  json["recipient"] = hex_of(slot.recipient());
  json["storage_parent"] = hex_of(slot.storage_parent());
  const Result<PcrSelection> selection = PcrSelection::of_mask(slot.pcr_mask());
  json["pcrs"] = selection.ok() ? selection.value().text() : "";
  Json& values = json["pcr_values"] = Json::object();
  const std::vector<unsigned> indices =
      selection.ok() ? selection.value().indices() : std::vector<unsigned>();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    values[std::to_string(indices[i])] = hex_of(slot.pcr_values(static_cast<int>(i)));
  }
}

void describe_passphrase(const proto::SlotReport& slot, Json& json) {
  json["kind"] = "passphrase";
  json["memory_kib"] = slot.memory_kib();
  json["passes"] = slot.passes();
  json["lanes"] = slot.lanes();
}

// Both numbers were checked where the slot was parsed.
void describe_public_key(const proto::SlotReport& slot, Json& json) {
  constexpr const char* algorithms[] = {"", "ecdh-p256", "ecdh-p384", "x25519", "rsa-oaep-sha256"};
  constexpr const char* sources[] = {"", "certificate", "token", "public_key"};
  json["kind"] = "public_key";
  json["recipient"] = hex_of(slot.key_id());
  json["algorithm"] = algorithms[slot.algorithm() % std::size(algorithms)];
  json["source"] = sources[slot.source() % std::size(sources)];
  json["certificate"] = slot.certificate().empty() ? Json() : Json(hex_of(slot.certificate()));
  json["label"] = slot.label();
}

Json describe_slot(const proto::SlotReport& slot, int index) {
  Json json = {{"index", index}};
  json["adder"] = slot.adder().empty() ? Json("origin") : Json(hex_of(slot.adder()));
  if (slot.damaged()) {
    json["kind"] = "damaged";
    return json;
  }
  switch (static_cast<SlotKind>(slot.kind())) {
    case SlotKind::tpm2:
      describe_tpm2(slot, json);
      return json;
    case SlotKind::passphrase:
      describe_passphrase(slot, json);
      return json;
    case SlotKind::public_key:
      describe_public_key(slot, json);
      return json;
    case SlotKind::recovery:
      json["kind"] = "recovery";
      json["recovery_id"] = hex_of(slot.recovery_id());
      return json;
    case SlotKind::threshold:
      break;
  }
  json["kind"] = fmt::format("unknown ({})", slot.kind());
  return json;
}

std::string slot_line(const Json& slot) {
  const auto kind = slot["kind"].get<std::string>();
  const auto word = [&](const char* name) { return slot[name].get<std::string>(); };
  std::string line = fmt::format("  {}: {}", slot["index"].get<int>(), kind);
  if (kind == "tpm2") {
    line += fmt::format(" of host record {}, needs {}", word("recipient"), word("pcrs"));
  } else if (kind == "passphrase") {
    line += fmt::format(", needs {} of memory",
                        human_size(slot["memory_kib"].get<std::uint64_t>() * 1024));
  } else if (kind == "public_key") {
    line += fmt::format(" {} ({}, {}), needs its private key", word("recipient"), word("algorithm"),
                        word("label"));
  } else if (kind == "recovery") {
    line += fmt::format(" key, needs the paper with recovery id {}", word("recovery_id"));
  }
  return line + "\n";
}

std::string origin_line(const HelperReport& report) {
  if (report.origin().empty()) return "unsigned: nobody vouches for it";
  if (report.signature_verified()) {
    return fmt::format("{} (trusted, signature good)", report.origin_name());
  }
  return fmt::format("host record {} (not trusted here, signature not checked)",
                     hex_of(report.origin()));
}

Outcome describe(const HelperReport& report) {
  Outcome outcome;
  outcome.json = describe_file(report);
  outcome.json["generation"] = report.generation();
  outcome.text = fmt::format(
      "Checkpoint:  {}\nContent:     {}\nCipher:      {}{}\nSize:        {}\nCreated:     {}\n"
      "Origin:      {}\nSlots:\n",
      hex_of(report.checkpoint_id()), report.content(), report.suite(),
      report.exclusive() ? ", exclusive" : "", human_size(report.file_size()),
      utc_time(report.created()), origin_line(report));
  Json& slots = outcome.json["slots"] = Json::array();
  for (int i = 0; i < report.slots_size(); ++i) {
    slots.push_back(describe_slot(report.slots(i), i));
    outcome.text += slot_line(slots.back());
  }
  if (!report.has_opened_slot()) return outcome;
  outcome.json["opened_slot"] = report.opened_slot();
  outcome.json["image_count"] = report.image_count();
  outcome.json["content_bytes"] = report.content_bytes();
  Json& images = outcome.json["images"] = Json::array();
  outcome.text += fmt::format("Images:      {}\n", report.image_count());
  for (const proto::ImageReport& image : report.images()) {
    images.push_back({{"name", image.name()}, {"length", image.length()}});
    outcome.text += fmt::format("  {} ({})\n", image.name(), human_size(image.length()));
  }
  return outcome;
}

// The three structures as tpm2-tools take them: tpm2_import -i PREFIX.dup -s PREFIX.seed -u
// PREFIX.pub.
Status write_exported(const std::string& prefix, const proto::ExportedSlot& slot) {
  const std::pair<const char*, const std::string*> parts[] = {
      {".pub", &slot.public_area()}, {".dup", &slot.duplicate()}, {".seed", &slot.seed()}};
  for (const auto& [suffix, bytes] : parts) {
    CKPTSEAL_TRY(write_file(prefix + suffix, as_bytes(*bytes), 0600, OutputFile::Replace::never));
  }
  return {};
}

Result<Outcome> inspect(const Globals& globals, const InspectOptions& options, Console& console) {
  const bool exporting = options.export_slot >= 0;
  if (exporting != !options.output.empty()) {
    return Error{Code::usage, "--export-slot N and -o PREFIX go together; give both.", 0};
  }
  CKPTSEAL_ASSIGN(auto reading, Reading::prepare(globals, options.reading, Reading::Key::if_asked));
  std::optional<std::size_t> slot;
  if (exporting) slot = static_cast<std::size_t>(options.export_slot);
  const Result<HelperReport> report =
      inspect_in_helper(reading->job(), slot, reading->events(console));
  if (!report.ok()) return with_subject(reading->name(), report.error());
  if (exporting) CKPTSEAL_TRY(write_exported(options.output, report.value().exported_slot()));
  return describe(report.value());
}

}  // namespace

void add_inspect_verb(const Verb& command) {
  auto options = std::make_shared<InspectOptions>();
  const Verb verb = command.verb("inspect", "Show what a sealed file says of itself",
                                 "ckpt-seal inspect backup.cks");
  add_reading_options(verb, options->reading, false);
  verb.option("--export-slot", options->export_slot,
              "Write this TPM slot for tpm2-tools as PREFIX.pub, PREFIX.dup, PREFIX.seed")
      .value_name("N")
      .between(0, 65535);
  verb.option("-o,--output", options->output, "Where to write the exported slot")
      .value_name("PREFIX");
  verb.does(
      [options](const Globals& globals, Console& c) { return inspect(globals, *options, c); });
}

}  // namespace ckptseal
