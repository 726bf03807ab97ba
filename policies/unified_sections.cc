// SPDX-License-Identifier: Apache-2.0
//
// One table, tried with the stubs of Debian 12 (252) and 13 (257), which is why it has no other:
// tests/policies/event_logs/README.md.
#include "policies/unified_sections.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace ckptseal {
namespace {

struct UnifiedSection {
  std::string_view name;
  bool in_252;
  bool in_257;
};

// .pcrsig signs what the others make of PCR 11 and is not measured. .profile, .dtbauto and .hwids
// are measured by 257 as the machine and the user choose, so that an image with one is refused.
constexpr std::array<UnifiedSection, 10> sections = {{{".linux", true, true},
                                                      {".osrel", true, true},
                                                      {".cmdline", true, true},
                                                      {".initrd", true, true},
                                                      {".ucode", false, true},
                                                      {".splash", true, true},
                                                      {".dtb", true, true},
                                                      {".uname", false, true},
                                                      {".sbat", false, true},
                                                      {".pcrpkey", true, true}}};
constexpr std::array<std::string_view, 4> chosen_at_boot = {".profile", ".dtbauto", ".hwids",
                                                            ".efifw"};

}  // namespace

bool section_is_chosen_at_boot(std::string_view name) {
  return std::find(chosen_at_boot.begin(), chosen_at_boot.end(), name) != chosen_at_boot.end();
}

bool is_unified_section(std::string_view name) {
  return section_is_chosen_at_boot(name) ||
         std::any_of(sections.begin(), sections.end(),
                     [&](const UnifiedSection& section) { return section.name == name; });
}

Bytes section_name_measured(std::string_view name) {
  const ByteView text = as_bytes(name);
  Bytes out(text.begin(), text.end());
  out.push_back(0);
  return out;
}

Result<StubRules> rules_of_stub(ByteView magic) {
  constexpr std::string_view before = "#### LoaderInfo: systemd-stub ";
  std::string_view text = as_text(magic);
  unsigned version = 0;
  if (text.substr(0, before.size()) == before) {
    text.remove_prefix(before.size());
    std::from_chars(text.data(), text.data() + text.size(), version);
  }
  if (version != 252 && version != 257) {
    return Error{Code::failed,
                 "The image's stub is neither systemd-stub 252 nor 257, so that what it measures "
                 "is not known: make the image with one of those.",
                 0};
  }
  StubRules out;
  out.adds_to_initrd = version == 257;
  for (const UnifiedSection& section : sections) {
    if (version == 252 ? section.in_252 : section.in_257) out.measured.push_back(section.name);
  }
  return out;
}

}  // namespace ckptseal
