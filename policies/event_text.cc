// SPDX-License-Identifier: Apache-2.0
//
// Structures are those of the TCG PC Client Platform Firmware Profile 1.06, "Event Types", and of
// the UEFI specification 2.10, "EFI Device Path Protocol".
#include "policies/event_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "policies/little_endian.h"

namespace ckptseal {
namespace {

constexpr std::size_t longest_text = 200;  // of one event, for people

bool printable(unsigned character) { return character >= 0x20 && character < 0x7f; }

// For people: what cannot be printed is a question mark.
std::string shown(ByteView data, std::size_t width) {
  std::string out;
  for (std::size_t i = 0; i + width <= data.size(); i += width) {
    const unsigned high = width == 2 ? data[i + 1] : 0U;
    const unsigned character = data[i] | high << 8;
    if (character == 0) break;
    if (out.size() == longest_text) return out + "...";
    out += printable(character) ? static_cast<char>(character) : '?';
  }
  return out;
}

std::string_view type_name(std::uint32_t type) {
  switch (type) {
    case ev_post_code:
    case ev_post_code2:
      return "firmware code";
    case ev_no_action:
      return "remark, not measured";
    case ev_separator:
      return "separator";
    case ev_action:
    case ev_efi_action:
      return "action";
    case ev_event_tag:
      return "tagged event";
    case ev_s_crtm_contents:
      return "contents of the root of trust for measurement";
    case ev_s_crtm_version:
      return "version of the root of trust for measurement";
    case ev_cpu_microcode:
      return "microcode";
    case ev_ipl:
      return "boot loader";
    case ev_efi_variable_driver_config:
      return "variable";
    case ev_efi_variable_boot:
    case ev_efi_variable_boot2:
      return "boot variable";
    case ev_efi_boot_services_application:
      return "boot services application";
    case ev_efi_boot_services_driver:
      return "boot services driver";
    case ev_efi_runtime_services_driver:
      return "runtime services driver";
    case ev_efi_gpt_event:
    case ev_efi_gpt_event2:
      return "partition table";
    case ev_efi_platform_firmware_blob:
    case ev_efi_platform_firmware_blob2:
      return "firmware volume";
    case ev_efi_handoff_tables:
    case ev_efi_handoff_tables2:
      return "firmware tables";
    case ev_efi_variable_authority:
      return "authority that verified an image";
    default:
      return "";
  }
}

std::string words_of_ipl(ByteView data) {
  if (const auto wide = ascii_of_utf16(data, true)) return shown(as_bytes(*wide), 1);
  return shown(data, 1);
}

std::string words_of(const LoggedEvent& event) {
  switch (event.type) {
    case ev_action:
    case ev_efi_action:
      return shown(event.data, 1);
    case ev_s_crtm_version:
      return shown(event.data, 2);
    case ev_ipl:
      return words_of_ipl(event.data);
    case ev_event_tag: {
      const auto tagged = parse_tagged_event(event.data);
      return tagged ? words_of_ipl(tagged->data) : "";
    }
    case ev_efi_variable_driver_config:
    case ev_efi_variable_boot:
    case ev_efi_variable_boot2:
    case ev_efi_variable_authority: {
      const auto variable = parse_efi_variable(event.data);
      return variable ? variable->name : "";
    }
    case ev_efi_boot_services_application:
    case ev_efi_boot_services_driver:
    case ev_efi_runtime_services_driver: {
      const auto path = parse_image_path(event.data);
      return path && path->empty() ? "from memory" : path.value_or("");
    }
    default:
      return "";
  }
}

}  // namespace

std::optional<std::string> ascii_of_utf16(ByteView data, bool ended) {
  if (data.size() % 2 != 0 || (ended && data.size() < 2)) return std::nullopt;
  const std::size_t end = ended ? data.size() - 2 : data.size();
  if (ended && !all_zero(data.subspan(end))) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < end; i += 2) {
    if (data[i + 1] != 0 || !printable(data[i])) return std::nullopt;
    out += static_cast<char>(data[i]);
  }
  return out;
}

std::optional<std::string> ascii_of_string(ByteView data) {
  if (data.empty() || data.back() != 0) return std::nullopt;
  const ByteView text = data.first(data.size() - 1);
  if (!std::all_of(text.begin(), text.end(), printable)) return std::nullopt;
  return std::string(as_text(text));
}

Bytes utf16_of_ascii(std::string_view text) {
  Bytes out;
  for (const std::uint8_t character : as_bytes(text)) {
    out.push_back(character);
    out.push_back(0);
  }
  out.insert(out.end(), 2, 0);
  return out;
}

// GUID, length of the name in characters, length of the data, name, data: nothing behind them.
std::optional<EfiVariable> parse_efi_variable(ByteView data) {
  LittleEndianReader reader(data);
  (void)reader.view(16);
  const std::uint64_t name_length = reader.u64();
  const std::uint64_t data_length = reader.u64();
  if (!reader.ok() || name_length > reader.remaining() / 2) return std::nullopt;
  const ByteView name = reader.view(static_cast<std::size_t>(name_length) * 2);
  if (data_length != reader.remaining()) return std::nullopt;
  return EfiVariable{shown(name, 2), reader.rest()};
}

std::optional<std::string> parse_image_path(ByteView data) {
  constexpr std::uint8_t media = 4;
  constexpr std::uint8_t file_path = 4;
  constexpr std::uint8_t end = 0x7f;
  constexpr std::size_t node_header = 4;
  LittleEndianReader reader(data);
  (void)reader.view(8 + 8 + 8);  // address, length and link-time address of the image
  const std::uint64_t length = reader.u64();
  if (!reader.ok() || length != reader.remaining()) return std::nullopt;
  std::string path;
  while (reader.remaining() != 0) {
    const std::uint8_t type = reader.u8();
    const std::uint8_t subtype = reader.u8();
    const std::size_t size = reader.u16();
    if (!reader.ok() || size < node_header) return std::nullopt;
    const ByteView node = reader.view(size - node_header);
    if (!reader.ok()) return std::nullopt;
    if (type == media && subtype == file_path) path += shown(node, 2);
    if (type == end && reader.remaining() != 0) return std::nullopt;
  }
  return path;
}

std::optional<TaggedEvent> parse_tagged_event(ByteView data) {
  LittleEndianReader reader(data);
  TaggedEvent out;
  out.id = reader.u32();
  const std::uint32_t size = reader.u32();
  if (!reader.ok() || size != reader.remaining()) return std::nullopt;
  out.data = reader.rest();
  return out;
}

std::string describe(const LoggedEvent& event) {
  const std::string_view name = type_name(event.type);
  const std::string type =
      name.empty() ? fmt::format("event of type 0x{:x}", event.type) : std::string(name);
  const std::string words = words_of(event);
  return fmt::format("PCR {}: {}{}{}", event.pcr, type, words.empty() ? "" : " ", words);
}

}  // namespace ckptseal
