// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal inspect`: what a sealed file says of itself, without a key; with one also its images.
#include <fmt/format.h>

#include "base/output_file.h"
#include "base/utc_time.h"
#include "cli/opening/reading.h"
#include "cli/opening/slots.h"
#include "sealing/sealed_file.h"

namespace ckptseal {
namespace {

struct InspectOptions {
  ReadingOptions reading;
  int export_slot = -1;
  std::string output;
};

std::string origin_line(const HelperReport& report) {
  if (report.origin().empty()) return "unsigned: nobody vouches for it";
  if (report.signature_verified()) {
    return fmt::format("{} (trusted, signature good)", report.origin_name());
  }
  return fmt::format("host {} (not trusted here, signature not checked)", hex_of(report.origin()));
}

std::string changer_line(const HelperReport& report) {
  if (report.changer().empty()) return "";
  const Json who = host_or_unsigned(report.changer());
  if (who == "unsigned") return "Changed:     by somebody who has not signed that\n";
  if (!report.changer_name().empty()) {
    return fmt::format("Changed:     by {} (trusted, signature good)\n", report.changer_name());
  }
  return fmt::format("Changed:     by host {} ({}signature not checked)\n", who.get<std::string>(),
                     report.signature_verified() ? "not trusted here, " : "");
}

Outcome describe(const HelperReport& report) {
  Outcome outcome;
  outcome.json = describe_file(report);
  outcome.json["generation"] = report.generation();
  outcome.json["changer"] = report.changer().empty() ? Json() : host_or_unsigned(report.changer());
  outcome.json["changer_name"] =
      report.changer_name().empty() ? Json() : Json(report.changer_name());
  outcome.json["parent"] = report.parent().empty() ? Json() : Json(hex_of(report.parent()));
  outcome.json["depth"] = report.depth();
  Json slots = Json::array();
  std::string lines;
  for (const proto::SlotReport& slot : report.slots()) {
    slots.push_back(describe_slot(slot));
    lines += slot_lines(slots.back());
  }
  if (const std::size_t more = report.slot_count() - slots.size(); more > 0) {
    lines += fmt::format("  and {} more\n", more);
  }
  const Json limits = describe_limits(report, slots);
  outcome.json["limits"] = limits;
  outcome.json["slots"] = std::move(slots);
  outcome.json["slot_count"] = report.slot_count();
  outcome.text = fmt::format(
      "Checkpoint:  {}\nContent:     {}\nCipher:      {}{}\nSize:        {}\nCreated:     {}\n"
      "Origin:      {}\n{}{}Slots:\n{}",
      hex_of(report.checkpoint_id()), report.content(), report.suite(),
      report.exclusive() ? ", exclusive" : "", human_size(report.file_size()),
      utc_time(report.created()), origin_line(report), changer_line(report), limits_line(limits),
      lines);
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
  InspectJob job{reading->job()};
  if (exporting) job.export_slot = static_cast<std::size_t>(options.export_slot);
  const Result<HelperReport> report = inspect_in_helper(job, reading->events(console));
  if (!report.ok()) return with_subject(reading->name(), report.error());
  reading->remember_opening(report.value());
  if (exporting) CKPTSEAL_TRY(write_exported(options.output, report.value().exported_slot()));
  return describe(report.value());
}

}  // namespace

void add_inspect_verb(const Verb& command) {
  auto options = std::make_shared<InspectOptions>();
  const Verb verb = command.verb("inspect", "Show what a sealed file says of itself",
                                 "ckpt-seal inspect backup.cks");
  add_reading_options(verb, options->reading);
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
