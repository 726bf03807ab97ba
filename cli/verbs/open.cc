// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal open`: gives the content back, to a file that appears whole or not at all, to a folder
// in the same way, or to a pipe.
#include <fmt/format.h>
#include <unistd.h>

#include "base/output_file.h"
#include "cli/opening/reading.h"
#include "sealing/tree.h"

namespace ckptseal {
namespace {

struct OpenOptions {
  ReadingOptions reading;
  std::string output = "-";
  bool force = false;
};

Result<HelperReport> with_name(const Reading& reading, Result<HelperReport> result) {
  if (result.ok()) return result;
  return with_subject(reading.name(), std::move(result).error());
}

Outcome describe(const OpenOptions& options, const HelperReport& report) {
  Outcome outcome;
  outcome.json = describe_file(report);
  outcome.json["content_bytes"] = report.content_bytes();
  outcome.json["opened_slot"] = report.opened_slot();
  outcome.json["output"] = options.output;
  if (options.output == "-") return outcome;
  outcome.text = fmt::format(
      "Opened {} as {}{}.\n", human_size(report.content_bytes()), options.output,
      report.signature_verified() ? ", sealed by " + report.origin_name() : ", unsigned");
  return outcome;
}

Result<HelperReport> open_to_file(Reading& reading, const OpenOptions& options, Console& console) {
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_ASSIGN(OutputFile file, OutputFile::create(options.output, 0600, replace));
  CKPTSEAL_ASSIGN(HelperReport report,
                  with_name(reading, open_in_helper(reading.job(), Content::stream, file.fd(),
                                                    reading.events(console))));
  CKPTSEAL_TRY(file.commit());
  return report;
}

// A child unpacks what the helper has verified; the folder gets its name when both are done.
Result<HelperReport> open_to_folder(Reading& reading, const OpenOptions& options,
                                    Console& console) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_ASSIGN(TreeExtractor extractor,
                  TreeExtractor::start(pipe.read_end.get(), options.output, replace));
  pipe.read_end.reset();
  CKPTSEAL_ASSIGN(
      HelperReport report,
      with_name(reading, open_in_helper(reading.job(), Content::tree, pipe.write_end.get(),
                                        reading.events(console))));
  pipe.write_end.reset();
  CKPTSEAL_ASSIGN(const TreeWarnings warnings, extractor.finish());
  for (const std::string& warning : warnings) console.warn(warning);
  CKPTSEAL_TRY(extractor.commit());
  return report;
}

Result<Outcome> open_sealed(const Globals& globals, const OpenOptions& options, Console& console) {
  if (options.output == "-" && globals.json) {
    return Error{Code::usage, "--json and the content would mix on stdout; name a file with -o.",
                 0};
  }
  CKPTSEAL_ASSIGN(auto reading,
                  Reading::prepare(globals, options.reading, Reading::Key::host_by_default));
  if (!reading->has_identities()) {
    return Error{Code::failed,
                 "There is nothing to open it with: this host is not provisioned; run 'ckpt-seal "
                 "provision', or say --identity passphrase.",
                 0};
  }
  InspectJob content_job;
  content_job.read.sealed_fd = reading->job().sealed_fd;
  content_job.describes = [](const SlotBody&) { return false; };
  CKPTSEAL_ASSIGN(const HelperReport kind, with_name(*reading, inspect_in_helper(content_job, {})));
  const bool tree = kind.content() == content_word(Content::tree);
  if (kind.content() == content_word(Content::criu)) {
    return with_subject(reading->name(),
                        {Code::usage, "it holds a process; use 'ckpt-seal restore'", 0});
  }
  if (options.output == "-") {
    CKPTSEAL_ASSIGN(
        const HelperReport report,
        with_name(*reading, open_in_helper(reading->job(), tree ? Content::tree : Content::stream,
                                           STDOUT_FILENO, reading->events(console))));
    reading->remember_opening(report);
    return describe(options, report);
  }
  CKPTSEAL_ASSIGN(const HelperReport report, tree ? open_to_folder(*reading, options, console)
                                                  : open_to_file(*reading, options, console));
  reading->remember_opening(report);
  return describe(options, report);
}

}  // namespace

void add_open_verb(const Verb& command) {
  auto options = std::make_shared<OpenOptions>();
  const Verb verb = command.verb("open", "Give the content of a sealed file back",
                                 "ckpt-seal open -o backup.img backup.cks");
  add_reading_options(verb, options->reading);
  add_cap_option(verb, options->reading);
  verb.option("-o,--output", options->output,
              "File (folder for a sealed folder), - for standard output")
      .value_name("OUT")
      .shows_default();
  verb.flag("--force", options->force, "Replace OUT if it exists");
  verb.does(
      [options](const Globals& globals, Console& c) { return open_sealed(globals, *options, c); });
}

}  // namespace ckptseal
