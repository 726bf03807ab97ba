// SPDX-License-Identifier: Apache-2.0
//
// Which digest belongs to which data. TCG PC Client Platform Firmware Profile 1.06, "Event Types";
// for boot loaders the UAPI Group's "Linux TPM PCR Registry" and what the logs in
// tests/policies/event_logs/ show.
#include "policies/event_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/crypto.h"
#include "policies/event_text.h"
#include "policies/unified_sections.h"

namespace ckptseal {
namespace {

Error refused(const LoggedEvent& event, std::string_view why) {
  return {Code::integrity,
          fmt::format("Event {} of the log ({}) {}, so that what it measured is not known: "
                      "predictions need a log of firmware and boot loaders that ckpt-seal knows, "
                      "see docs/event-logs.md.",
                      event.number, describe(event), why),
          0};
}

bool is_digest_of(const LoggedEvent& event, ByteView data) {
  return Sha256::of(data) == event.digest;
}

Result<EventProof> recompute(const LoggedEvent& event, ByteView measured) {
  if (!is_digest_of(event, measured)) return refused(event, "has a digest that is not of its data");
  return EventProof::recomputed;
}

// "EV_SEPARATOR": 0 or 0xffffffff; anything else says that the firmware failed.
Result<EventProof> judge_separator(const LoggedEvent& event) {
  const auto is = [&](std::uint8_t byte) {
    return event.data.size() == 4 && std::all_of(event.data.begin(), event.data.end(),
                                                 [byte](std::uint8_t b) { return b == byte; });
  };
  if (!is(0) && !is(0xff)) return refused(event, "is no separator of a boot without errors");
  return recompute(event, event.data);
}

Result<EventProof> judge_variable(const LoggedEvent& event) {
  const std::optional<EfiVariable> variable = parse_efi_variable(event.data);
  if (!variable) return refused(event, "is malformed");
  // "EV_EFI_VARIABLE_BOOT" is of the variable's content alone; EV_EFI_VARIABLE_BOOT2 came to end
  // that.
  const bool content_alone = event.type == ev_efi_variable_boot;
  return recompute(event, content_alone ? variable->data : ByteView(event.data));
}

Result<EventProof> judge_image(const LoggedEvent& event) {
  if (!parse_image_path(event.data)) return refused(event, "is malformed");
  return EventProof::digest_only;
}

Result<EventProof> judge_tagged(const LoggedEvent& event) {
  struct Known {
    unsigned pcr;
    std::uint32_t id;
    std::string_view words;  // empty: any
  };
  // The kernel's, and systemd's (UAPI Group, "Linux TPM PCR Registry"): the data only names what
  // was measured.
  static constexpr std::array<Known, 7> known = {{
      {9, tag_kernel_initrd, "Linux initrd"},
      {9, tag_kernel_load_options, "LOADED_IMAGE::LoadOptions"},
      {5, 0xf5bc582a, ""},   // loader.conf
      {12, 0x6c46f751, ""},  // device tree of an addon
      {12, 0x49dffe0f, ""},  // initrd of an addon
      {12, 0xdac08e1a, ""},  // microcode of an addon
      {12, 0x13aed6db, ""},  // number of a profile
  }};
  const std::optional<TaggedEvent> tagged = parse_tagged_event(event.data);
  if (!tagged) return refused(event, "is malformed");
  for (const Known& one : known) {
    if (one.id != tagged->id) continue;
    const std::optional<std::string> words =
        one.words.empty() ? ascii_of_utf16(tagged->data, true) : ascii_of_string(tagged->data);
    if (one.pcr != event.pcr || !words || (!one.words.empty() && *words != one.words)) {
      return refused(event, "has a known tag and is not what goes with it");
    }
    return EventProof::digest_only;
  }
  return recompute(event, event.data);
}

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// GRUB says in PCR 8 what it runs, with a word before it that is not measured, nor is the NUL.
Result<EventProof> judge_grub_words(const LoggedEvent& event, const std::string& text) {
  for (const std::string_view prefix :
       {grub_command, grub_kernel, std::string_view("module_cmdline: ")}) {
    if (text.compare(0, prefix.size(), prefix) != 0) continue;
    return recompute(event, as_bytes(text).subspan(prefix.size()));
  }
  return refused(event, "is none of GRUB's");
}

// systemd-stub: the name of each section, then its content, both under the name.
Result<EventProof> judge_section(const LoggedEvent& event, const std::string& name) {
  if (!is_unified_section(name))
    return refused(event, "names no section that systemd-stub measures");
  return is_digest_of(event, section_name_measured(name)) ? EventProof::recomputed
                                                          : EventProof::digest_only;
}

// "EV_IPL" has no form of its own: each boot loader writes another.
Result<EventProof> judge_ipl(const LoggedEvent& event) {
  static constexpr std::array<std::string_view, 5> archives = {
      "Credentials initrd", "Global credentials initrd", "System extension initrd",
      "Global system extension initrd", "Configuration extension initrd"};
  static constexpr std::array<std::string_view, 7> of_shim = {
      "MokList",    "MokListX",  "MokListTrusted", "MokSBState",
      "MokDBState", "MokPolicy", "MokIgnoreDB"};
  const std::optional<std::string> wide = ascii_of_utf16(event.data, true);
  const std::optional<std::string> text = ascii_of_string(event.data);
  if (event.pcr == 8 && text) return judge_grub_words(event, *text);
  // A file that GRUB read, by its name.
  if (event.pcr == 9 && text && !text->empty()) return EventProof::digest_only;
  if (event.pcr == 11 && wide) return judge_section(event, *wide);
  if ((event.pcr == 12 || event.pcr == 13) && wide && contains(archives, *wide)) {
    return EventProof::digest_only;
  }
  // The command line that a unified kernel image was started with, and its NUL. It may have more
  // than ASCII in it.
  if (event.pcr == 12) return recompute(event, event.data);
  if (event.pcr == 14 && text && contains(of_shim, *text)) return EventProof::digest_only;
  return refused(event, "is of no boot loader that is known");
}

}  // namespace

Result<EventProof> judge(const LoggedEvent& event) {
  switch (event.type) {
    case ev_no_action:
      return EventProof::not_measured;
    case ev_separator:
      return judge_separator(event);
    case ev_action:
    case ev_s_crtm_version:
    case ev_omit_boot_device_events:
    case ev_efi_action:
    case ev_efi_gpt_event:
    case ev_efi_gpt_event2:
    case ev_efi_spdm_device_policy:
    case ev_efi_spdm_device_authority:
      return recompute(event, event.data);
    case ev_efi_variable_driver_config:
    case ev_efi_variable_boot:
    case ev_efi_variable_boot2:
    case ev_efi_variable_authority:
      return judge_variable(event);
    case ev_event_tag:
      return judge_tagged(event);
    case ev_ipl:
      return judge_ipl(event);
    case ev_efi_boot_services_application:
    case ev_efi_boot_services_driver:
    case ev_efi_runtime_services_driver:
      return judge_image(event);
    case ev_post_code:
    case ev_post_code2:
    case ev_s_crtm_contents:
    case ev_cpu_microcode:
    case ev_platform_config_flags:
    case ev_table_of_devices:
    case ev_compact_hash:
    case ev_nonhost_code:
    case ev_nonhost_config:
    case ev_nonhost_info:
    case ev_efi_platform_firmware_blob:
    case ev_efi_platform_firmware_blob2:
    case ev_efi_handoff_tables:
    case ev_efi_handoff_tables2:
    case ev_efi_hcrtm_event:
    case ev_efi_spdm_firmware_blob:
    case ev_efi_spdm_firmware_config:
      return EventProof::digest_only;
    default:
      return refused(event, "is of a type that is not known");
  }
}

Status judge(const EventLog& log) {
  const LoggedEvent* name = nullptr;  // of a section, whose content must follow
  for (const LoggedEvent& event : log.events()) {
    CKPTSEAL_ASSIGN(const EventProof proof, judge(event));
    if (event.pcr != 11 || event.type != ev_ipl) continue;
    if (name != nullptr) {
      if (name->data != event.data) return refused(event, "does not belong to the name before it");
      name = nullptr;
    } else if (proof == EventProof::recomputed) {
      name = &event;
    } else {
      return refused(event, "is a section's content without its name");
    }
  }
  if (name != nullptr) return refused(*name, "is a section's name without its content");
  return {};
}

}  // namespace ckptseal
