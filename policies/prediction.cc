// SPDX-License-Identifier: Apache-2.0
//
// The log with other digests. Which events belong to what: tests/policies/event_logs/README.md.
#include "policies/prediction.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crypto.h"
#include "policies/event_judge.h"
#include "policies/event_text.h"
#include "policies/unified_sections.h"

namespace ckptseal {
namespace {

Error refused(const std::string& why) {
  return {Code::failed,
          fmt::format("The next boot cannot be predicted because {}: see docs/event-logs.md for "
                      "what can.",
                      why),
          0};
}

bool begins_with(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

bool ends_with(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && text.substr(text.size() - with.size()) == with;
}

bool secure_boot_is_on(const std::vector<LoggedEvent>& events) {
  return std::any_of(events.begin(), events.end(), [](const LoggedEvent& event) {
    if (event.pcr != 7 || event.type != ev_efi_variable_driver_config) return false;
    const std::optional<EfiVariable> variable = parse_efi_variable(event.data);
    return variable && variable->name == "SecureBoot" && variable->data.size() == 1 &&
           variable->data[0] == 1;
  });
}

}  // namespace

Result<Prediction> Prediction::of_log(const EventLog& log) {
  CKPTSEAL_TRY(judge(log));
  Prediction out(log);
  // IMA, whose events are not in this log.
  out.is_unknown(10, "the kernel extends it as files are used");
  return out;
}

void Prediction::is_unknown(unsigned pcr, std::string why) {
  if (unknown_[pcr].empty()) unknown_[pcr] = std::move(why);
}

std::vector<std::size_t> Prediction::find(unsigned pcr, std::uint32_t type) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    if (events_[i].pcr == pcr && events_[i].type == type) out.push_back(i);
  }
  return out;
}

// What the kernel's own loader measured; nullptr if there is none. More than one is not known.
LoggedEvent* Prediction::kernel_event(std::uint32_t tag) {
  LoggedEvent* found = nullptr;
  for (const std::size_t i : find(9, ev_event_tag)) {
    const std::optional<TaggedEvent> tagged = parse_tagged_event(events_[i].data);
    if (!tagged || tagged->id != tag) continue;
    if (found != nullptr) is_unknown(9, "the kernel's event is in the log twice");
    found = &events_[i];
  }
  return found;
}

// Those of a unified kernel image's boot loader and of its stub: the words are the data.
std::vector<LoggedEvent*> Prediction::command_line_events() {
  std::vector<LoggedEvent*> out;
  for (const std::size_t i : find(12, ev_ipl)) {
    LoggedEvent& event = events_[i];
    if (Sha256::of(event.data) == event.digest) out.push_back(&event);
  }
  return out;
}

Result<Prediction::UnifiedBoot> Prediction::find_unified_boot() const {
  UnifiedBoot boot;
  const std::vector<std::size_t> sections = find(11, ev_ipl);
  if (sections.empty()) {
    return refused("the log is not of a boot of a unified kernel image (PCR 11 has no sections)");
  }
  boot.first_section = sections.front();
  boot.after_sections = sections.back() + 1;
  if (boot.after_sections - boot.first_section != sections.size()) {
    return refused("other events are between those of the image's sections");
  }
  std::vector<std::size_t> before;
  std::vector<std::size_t> after;
  for (const std::size_t i : find(4, ev_efi_boot_services_application)) {
    (i < boot.first_section ? before : after).push_back(i);
  }
  if (before.empty()) return refused("no image was started before PCR 11 was measured");
  if (after.size() != 1 || parse_image_path(events_[after[0]].data) != std::string()) {
    return refused("the log does not show one kernel that the image's stub started from memory");
  }
  boot.image = before.back();
  boot.kernel = after[0];
  return boot;
}

// Content events alone: each stands behind the event of its name.
Status Prediction::require_booted(const UnifiedBoot& boot, const UnifiedImage& booted) const {
  const std::size_t count = boot.after_sections - boot.first_section;
  bool same = events_[boot.image].digest == booted.image &&
              events_[boot.kernel].digest == booted.kernel && count == 2 * booted.sections.size();
  for (std::size_t i = 0; same && i < booted.sections.size(); ++i) {
    const std::size_t at = boot.first_section + 2 * i;
    same = events_[at].digest == Sha256::of(section_name_measured(booted.sections[i].first)) &&
           events_[at + 1].digest == booted.sections[i].second;
  }
  if (!same) return refused("the log is not of a boot of the image that is named as booted");
  return {};
}

// Whether the stub takes the command line of the image or that from outside depends on what the
// image has and on Secure Boot.
Status Prediction::require_same_command_line_source(const UnifiedBoot& boot,
                                                    const UnifiedImage& next) {
  const Digest name = Sha256::of(section_name_measured(".cmdline"));
  bool had = false;
  for (std::size_t i = boot.first_section; i < boot.after_sections; i += 2) {
    had = had || events_[i].digest == name;
  }
  if (had == next.has(".cmdline")) return {};
  return refused("of the booted and the next image one has a command line in it and one has none");
}

void Prediction::replace_sections(const UnifiedBoot& boot, const UnifiedImage& next) {
  std::vector<LoggedEvent> sections;
  for (const auto& [name, content] : next.sections) {
    LoggedEvent event = events_[boot.first_section];
    event.data = utf16_of_ascii(name);
    event.digest = Sha256::of(section_name_measured(name));
    sections.push_back(event);
    event.digest = content;
    sections.push_back(event);
  }
  const auto at = [&](std::size_t i) { return events_.begin() + static_cast<std::ptrdiff_t>(i); };
  events_.erase(at(boot.first_section), at(boot.after_sections));
  events_.insert(at(boot.first_section), sections.begin(), sections.end());
}

// PCR 9: what the kernel measured of the booted image must be what is computed of that, before the
// same is believed of the next one.
void Prediction::replace_kernel_events(const UnifiedImage* booted, const UnifiedImage& next) {
  LoggedEvent* options = kernel_event(tag_kernel_load_options);
  LoggedEvent* initrd = kernel_event(tag_kernel_initrd);
  if (booted == nullptr) {
    is_unknown(9, "the kernel measures into it, and the booted image is not named (OLD=NEW)");
    return;
  }
  if (options == nullptr || initrd == nullptr || next.kernel_version < booted->kernel_version) {
    is_unknown(9, "the kernel is older than the booted one, or measured less than known ones do");
    return;
  }
  if (!booted->initrd || !next.initrd || initrd->digest != *booted->initrd) {
    is_unknown(9, "the kernel measures its initrd, to which the image's stub adds files");
    return;
  }
  const std::vector<LoggedEvent*> from_outside = command_line_events();
  if (!from_outside.empty()) {
    if (options->digest != from_outside.back()->digest) {
      is_unknown(9, "the kernel's command line is not the one that its boot loader passed");
      return;
    }
  } else {
    if (!booted->options || !next.options || options->digest != *booted->options) {
      is_unknown(9, "the kernel measures its command line, which the stub changes");
      return;
    }
    options->digest = *next.options;
  }
  initrd->digest = *next.initrd;
  conditions_.emplace_back(
      "The next kernel measures its command line and initrd into PCR 9 as the "
      "booted one does.");
}

Status Prediction::replace_unified_image(const UnifiedImage* booted, const UnifiedImage& next) {
  CKPTSEAL_ASSIGN(const UnifiedBoot boot, find_unified_boot());
  if (booted != nullptr) CKPTSEAL_TRY(require_booted(boot, *booted));
  CKPTSEAL_TRY(require_same_command_line_source(boot, next));
  replace_kernel_events(booted, next);
  events_[boot.image].digest = next.image;
  events_[boot.kernel].digest = next.kernel;
  replace_sections(boot, next);
  if (secure_boot_is_on(events_)) {
    conditions_.emplace_back(
        "Secure Boot is on: PCR 7 stays as it is only if the next image is signed by the same "
        "certificate as the booted one.");
  }
  return {};
}

Status Prediction::replace_command_line(std::string_view text) {
  const Bytes measured = utf16_of_ascii(text);
  if (text.empty() || ascii_of_utf16(measured, true) != std::string(text)) {
    return Error{Code::usage,
                 "The command line is empty or has characters other than printable "
                 "ASCII, whose measurement is not known: name another.",
                 0};
  }
  const std::vector<LoggedEvent*> events = command_line_events();
  if (events.empty()) return replace_grub_command_line(text);
  const Bytes before = events.front()->data;
  if (!std::all_of(events.begin(), events.end(),
                   [&](const LoggedEvent* event) { return event->data == before; })) {
    return refused(
        "the log has several command lines in PCR 12 and it is not known which is meant");
  }
  const Digest old_digest = Sha256::of(before);
  for (LoggedEvent* event : events) {
    event->data = measured;
    event->digest = Sha256::of(measured);
  }
  LoggedEvent* options = kernel_event(tag_kernel_load_options);
  if (options != nullptr && options->digest == old_digest) {
    options->digest = Sha256::of(measured);
  } else {
    is_unknown(9, "the kernel's command line is not the one that its boot loader passed");
  }
  return {};
}

// GRUB says the command with all that is behind it, and the same once more as the kernel gets it.
Status Prediction::replace_grub_command_line(std::string_view text) {
  LoggedEvent* command = nullptr;
  LoggedEvent* kernel = nullptr;
  std::size_t kernels = 0;
  std::string path;
  std::string words;
  for (const std::size_t i : find(8, ev_ipl)) {
    const std::string data = ascii_of_string(events_[i].data).value_or("");
    if (!begins_with(data, grub_kernel)) continue;
    kernel = &events_[i];
    ++kernels;
    words = data.substr(grub_kernel.size());
    path = words.substr(0, words.find(' '));
  }
  if (kernels != 1) {
    return refused(
        "the log shows no command line of a boot loader, or more than one: that in a "
        "unified kernel image changes with the image");
  }
  std::size_t commands = 0;
  for (const std::size_t i : find(8, ev_ipl)) {
    const std::string data = ascii_of_string(events_[i].data).value_or("");
    if (data != std::string(grub_command) + "linux " + words) continue;
    command = &events_[i];
    ++commands;
  }
  if (commands != 1) return refused("the log does not show the one linux command of GRUB");
  const std::string next = fmt::format("{} {}", path, text);
  kernel->digest = Sha256::of(as_bytes(next));
  command->digest = Sha256::of(as_bytes("linux " + next));
  // It comes from the configuration file or the environment block, and GRUB measures both.
  grub_configuration_is_due_ = true;
  return {};
}

Status Prediction::replace_digest(unsigned pcr, std::uint32_t type, const Digest& from,
                                  const Digest& to, std::string_view what) {
  bool found = false;
  for (const std::size_t i : find(pcr, type)) {
    if (events_[i].digest != from) continue;
    events_[i].digest = to;
    found = true;
  }
  if (!found) {
    return refused(
        fmt::format("PCR {} was not extended with the {} that is named as the old one", pcr, what));
  }
  return {};
}

Status Prediction::replace_image(const Digest& booted, const Digest& next) {
  CKPTSEAL_TRY(replace_digest(4, ev_efi_boot_services_application, booted, next, "image"));
  if (secure_boot_is_on(events_)) {
    conditions_.emplace_back(
        "Secure Boot is on: PCR 7, and PCR 14 for another shim, stay as they are only if the next "
        "image is signed by the same certificate and brings the same keys.");
  }
  return {};
}

Status Prediction::replace_grub_file(const Digest& booted, const Digest& next) {
  CKPTSEAL_TRY(replace_digest(9, ev_ipl, booted, next, "file"));
  for (const std::size_t i : find(9, ev_ipl)) {
    const std::string name = ascii_of_string(events_[i].data).value_or("");
    if (events_[i].digest != next) continue;
    if (ends_with(name, ".cfg") || ends_with(name, "/grubenv")) grub_configuration_is_due_ = false;
  }
  conditions_.emplace_back(
      "GRUB runs the same commands as in this boot, on files of the same names.");
  return {};
}

Result<PcrState> Prediction::state(const PcrSelection& selection) const {
  PcrBank values = values_;
  for (const LoggedEvent& event : events_) {
    if (event.extends()) values[event.pcr] = extended(values[event.pcr], event.digest);
  }
  PcrState out;
  for (const unsigned pcr : selection.indices()) {
    std::string why = unknown_[pcr];
    if (pcr == 9 && grub_configuration_is_due_) {
      why =
          "GRUB measures the file from which the command line comes, and it is not named as "
          "replaced";
    }
    if (!why.empty()) {
      return Error{Code::failed,
                   fmt::format("PCR {} cannot be predicted because {}: leave it out of the "
                               "selection (--tpm2-pcrs), or see docs/event-logs.md.",
                               pcr, why),
                   0};
    }
    out.pcrs[pcr] = values[pcr];
  }
  return out;
}

}  // namespace ckptseal
