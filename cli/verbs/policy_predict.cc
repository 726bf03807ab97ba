// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal policy predict`: what the PCRs will hold after the next boot, from the log of this one
// and from files. docs/event-logs.md. It needs no TPM, and no host that was set up.
#include <fmt/format.h>

#include <utility>

#include "base/crypto.h"
#include "base/output_file.h"
#include "cli/host_access.h"
#include "cli/verbs/policy.h"
#include "policies/event_log.h"
#include "policies/pe_image.h"
#include "policies/prediction.h"

namespace ckptseal {
namespace {

struct PredictOptions {
  std::string log = kernel_event_log;
  std::string uki;
  std::string cmdline;
  std::vector<std::string> images;
  std::vector<std::string> grub_files;
  std::string pcrs;
  std::string output = "-";
  bool force = false;
  bool check = false;
};

struct OldAndNew {
  std::string old_path;
  std::string new_path;
};

Result<OldAndNew> split(const std::string& option, const std::string& value) {
  const std::size_t sign = value.find('=');
  OldAndNew out;
  if (sign != std::string::npos) {
    out = {value.substr(0, sign), value.substr(sign + 1)};
    const bool second = value.find('=', sign + 1) != std::string::npos;
    if (!second && !out.old_path.empty() && !out.new_path.empty()) return out;
  }
  return Error{Code::usage,
               fmt::format("{} wants two files as OLD=NEW, without another = in their names, and "
                           "not \"{}\".",
                           option, value),
               0};
}

Error of_file(const std::string& path, Error error) {
  error.message = fmt::format("{}: {}", path, error.message);
  return error;
}

Result<Bytes> read_image(const std::string& path) {
  return read_file(path, PeImage::largest, fmt::format("the file {}", path));
}

Result<UnifiedImage> measure_unified_image(const std::string& path) {
  CKPTSEAL_ASSIGN(const Bytes content, read_image(path));
  Result<UnifiedImage> image = UnifiedImage::measure(content);
  if (!image.ok()) return of_file(path, image.error());
  return image;
}

Result<Digest> image_digest(const std::string& path) {
  CKPTSEAL_ASSIGN(const Bytes content, read_image(path));
  const Result<PeImage> image = PeImage::parse(content);
  if (!image.ok()) return of_file(path, image.error());
  return image.value().authenticode();
}

Result<Digest> file_digest(const std::string& path) {
  CKPTSEAL_ASSIGN(const Bytes content, read_image(path));
  return Sha256::of(content);
}

Status replace_unified_image(const std::string& value, Prediction& prediction) {
  if (value.find('=') == std::string::npos) {
    CKPTSEAL_ASSIGN(const UnifiedImage next, measure_unified_image(value));
    return prediction.replace_unified_image(nullptr, next);
  }
  CKPTSEAL_ASSIGN(const OldAndNew paths, split("--uki", value));
  CKPTSEAL_ASSIGN(const UnifiedImage booted, measure_unified_image(paths.old_path));
  CKPTSEAL_ASSIGN(const UnifiedImage next, measure_unified_image(paths.new_path));
  return prediction.replace_unified_image(&booted, next);
}

Status replace_all(const PredictOptions& options, Prediction& prediction) {
  if (!options.uki.empty()) CKPTSEAL_TRY(replace_unified_image(options.uki, prediction));
  for (const std::string& value : options.images) {
    CKPTSEAL_ASSIGN(const OldAndNew paths, split("--boot-loader", value));
    CKPTSEAL_ASSIGN(const Digest booted, image_digest(paths.old_path));
    CKPTSEAL_ASSIGN(const Digest next, image_digest(paths.new_path));
    CKPTSEAL_TRY(prediction.replace_image(booted, next));
  }
  if (!options.cmdline.empty()) CKPTSEAL_TRY(prediction.replace_command_line(options.cmdline));
  for (const std::string& value : options.grub_files) {
    CKPTSEAL_ASSIGN(const OldAndNew paths, split("--grub-file", value));
    CKPTSEAL_ASSIGN(const Digest booted, file_digest(paths.old_path));
    CKPTSEAL_ASSIGN(const Digest next, file_digest(paths.new_path));
    CKPTSEAL_TRY(prediction.replace_grub_file(booted, next));
  }
  return {};
}

// Whether the log is of the boot that this host's TPM has seen.
Status check_with_tpm(const Globals& globals, const EventLog& log, const PcrSelection& selection) {
  CKPTSEAL_ASSIGN(const HostAccess host, HostAccess::open(globals));
  CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const TpmSession session, host.start_tpm());
  CKPTSEAL_ASSIGN(EsysTpm tpm, host.connect(session));
  CKPTSEAL_ASSIGN(const PcrValues held, tpm.read_pcrs(selection));
  PcrValues replayed{selection, {}};
  const PcrBank bank = log.replay();
  for (const unsigned pcr : selection.indices()) replayed.values.push_back(bank[pcr]);
  const std::vector<unsigned> differing = replayed.differing(held);
  if (differing.empty()) return {};
  return Error{Code::integrity,
               fmt::format("PCR {} does not hold what the log says: the log is of another boot or "
                           "incomplete, or something extended it after the log ended, which "
                           "docs/event-logs.md tells of; leave it out with --tpm2-pcrs.",
                           fmt::join(differing, ", ")),
               0};
}

Result<Outcome> predict(const Globals& globals, const PredictOptions& options, Console& console) {
  PcrSelection selection = PcrSelection::standard();
  if (!options.pcrs.empty()) {
    CKPTSEAL_ASSIGN(selection, PcrSelection::parse(options.pcrs));
  }
  CKPTSEAL_ASSIGN(const EventLog log, read_event_log(options.log));
  if (options.check) CKPTSEAL_TRY(check_with_tpm(globals, log, selection));
  CKPTSEAL_ASSIGN(Prediction prediction, Prediction::of_log(log));
  CKPTSEAL_TRY(replace_all(options, prediction));
  CKPTSEAL_ASSIGN(const PcrState state, prediction.state(selection));
  for (const std::string& condition : prediction.conditions()) console.warn(condition);
  Outcome outcome;
  outcome.json = {{"state", Json::parse(state.serialize())},
                  {"events", log.events().size()},
                  {"checked", options.check},
                  {"output", options.output}};
  if (options.output == "-") {
    outcome.text = state.serialize();
    return outcome;
  }
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_TRY(write_file(options.output, as_bytes(state.serialize()), 0644, replace));
  outcome.text =
      fmt::format("Wrote the predicted values of {} to {}.\n", selection.text(), options.output);
  return outcome;
}

}  // namespace

// Not by read_file(), for the kernel says of its log that it has no bytes.
Result<EventLog> read_event_log(const std::string& path) {
  CKPTSEAL_ASSIGN(const UniqueFd fd,
                  open_file(path, O_RDONLY | O_NONBLOCK, fmt::format("the event log {}", path)));
  Bytes content(EventLog::largest + 1);
  CKPTSEAL_ASSIGN(const std::size_t size, read_full(fd.get(), content));
  return EventLog::parse(ByteView(content).first(size));
}

void add_policy_predict_verb(const Verb& policy) {
  auto options = std::make_shared<PredictOptions>();
  const Verb verb = policy.verb(
      "predict", "Say what the PCRs will hold after the next boot",
      "ckpt-seal policy predict --uki /efi/EFI/Linux/old.efi=/efi/EFI/Linux/new.efi -o next.json");
  verb.option("--log", options->log, "Event log of the last boot")
      .value_name("FILE")
      .shows_default();
  verb.option("--uki", options->uki,
              "Unified kernel image that will be booted; with OLD= the one that was, to check that "
              "the log is of it, which PCR 9 needs")
      .value_name("[OLD=]NEW");
  verb.option("--cmdline", options->cmdline,
              "Command line that the boot loader will pass in place of the one in the log")
      .value_name("TEXT");
  verb.option("--boot-loader,--shim", options->images,
              "EFI image that replaces another: shim, GRUB, systemd-boot; can be given again")
      .value_name("OLD=NEW");
  verb.option("--grub-file", options->grub_files,
              "File that GRUB reads and that replaces another; can be given again")
      .value_name("OLD=NEW");
  verb.option("--tpm2-pcrs", options->pcrs,
              "PCRs to predict (default: " + PcrSelection::standard().text() + ")")
      .value_name("SELECTION");
  verb.option("-o,--output", options->output, "State document, - for standard output")
      .value_name("STATE")
      .shows_default();
  verb.flag("--force", options->force, "Replace STATE if it exists");
  verb.flag("--check", options->check, "Refuse a log that does not fit what this host's TPM holds");
  verb.does([options](const Globals& globals, Console& console) {
    return predict(globals, *options, console);
  });
}

}  // namespace ckptseal
