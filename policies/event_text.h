// SPDX-License-Identifier: Apache-2.0
//
// The words in an event's data: UTF-16 of firmware, strings of boot loaders, device paths. For
// people, and to find the events of an image; nothing in them is to be believed unless the judge
// (policies/event_judge.h) has recomputed the digest from them.
#pragma once

#include <optional>
#include <string>

#include "policies/event_log.h"

namespace ckptseal {

// UTF-16, lowest byte first, of printable ASCII alone. With `ended` a NUL must end it, else it has
// none. nullopt for anything else.
std::optional<std::string> ascii_of_utf16(ByteView data, bool ended);
// Printable ASCII that ends with its only NUL.
std::optional<std::string> ascii_of_string(ByteView data);
// The other way: UTF-16 with its NUL, of ASCII.
Bytes utf16_of_ascii(std::string_view text);

// UEFI_VARIABLE_DATA (TCG PC Client Platform Firmware Profile): a name and what the variable holds.
struct EfiVariable {
  std::string name;  // printable; other characters are shown as ?
  ByteView data;     // into the event
};
std::optional<EfiVariable> parse_efi_variable(ByteView data);

// UEFI_IMAGE_LOAD_EVENT: where an image came from, as "\EFI\BOOT\BOOTX64.EFI"; empty for one that
// was loaded from memory. nullopt when it is malformed.
std::optional<std::string> parse_image_path(ByteView data);

// TCG_PCClientTaggedEvent.
struct TaggedEvent {
  std::uint32_t id = 0;
  ByteView data;
};
std::optional<TaggedEvent> parse_tagged_event(ByteView data);

// "PCR 4: boot services application \EFI\BOOT\BOOTX64.EFI". Printable, on one line.
std::string describe(const LoggedEvent& event);

}  // namespace ckptseal
