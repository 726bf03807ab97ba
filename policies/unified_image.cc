// SPDX-License-Identifier: Apache-2.0
//
// tests/policies/event_logs/README.md says how the rules here were found.
#include "policies/unified_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/crypto.h"
#include "policies/event_text.h"
#include "policies/little_endian.h"
#include "policies/pe_image.h"
#include "policies/unified_sections.h"

namespace ckptseal {
namespace {

Error refused(const std::string& why) {
  return {Code::integrity,
          fmt::format("This is no unified kernel image whose measurements are known because {}: "
                      "name an image made by ukify, dracut or mkosi.",
                      why),
          0};
}

// Linux, Documentation/arch/x86/boot.rst: where the kernel says its version.
Result<std::pair<unsigned, unsigned>> version_of(ByteView kernel) {
  constexpr std::size_t header_at = 0x202;
  constexpr std::size_t header_magic = 0x53726448;  // "HdrS"
  std::pair<unsigned, unsigned> version;
  if (kernel.size() < header_at) return refused("its kernel is cut short");
  LittleEndianReader header(kernel.subspan(header_at));
  const std::uint32_t magic = header.u32();
  (void)header.view(8);
  const std::size_t at = std::size_t{header.u16()} + 0x200;
  if (!header.ok() || magic != header_magic || at >= kernel.size()) {
    return refused("its kernel is not of Linux for x86");
  }
  const std::string_view text =
      as_text(kernel.subspan(at, std::min<std::size_t>(32, kernel.size() - at)));
  const char* end = text.data() + text.size();
  const auto [dot, error] = std::from_chars(text.data(), end, version.first);
  if (error != std::errc() || dot == end || *dot != '.' ||
      std::from_chars(dot + 1, end, version.second).ec != std::errc()) {
    return refused("its kernel does not say its version");
  }
  return version;
}

// The stubs take white space at both ends away, each in its own way: only a line without any is
// known to reach the kernel as it is.
std::optional<Digest> options_of(const PeImage& image) {
  const PeSection* section = image.find(".cmdline");
  if (section == nullptr) return std::nullopt;
  ByteView text = section->content;
  if (!text.empty() && text.back() == 0) text = text.first(text.size() - 1);
  const auto printable = [](std::uint8_t c) { return c >= 0x20 && c < 0x7f; };
  if (text.empty() || text.front() == ' ' || text.back() == ' ' ||
      !std::all_of(text.begin(), text.end(), printable)) {
    return std::nullopt;
  }
  return Sha256::of(utf16_of_ascii(as_text(text)));
}

}  // namespace

bool UnifiedImage::has(std::string_view section) const {
  return std::any_of(sections.begin(), sections.end(),
                     [&](const auto& one) { return one.first == section; });
}

Result<UnifiedImage> UnifiedImage::measure(ByteView file) {
  CKPTSEAL_ASSIGN(const PeImage image, PeImage::parse(file));
  const PeSection* magic = image.find(".sdmagic");
  const PeSection* kernel = image.find(".linux");
  if (magic == nullptr || kernel == nullptr) return refused("it has no .sdmagic or no .linux");
  CKPTSEAL_ASSIGN(const StubRules stub, rules_of_stub(magic->content));
  UnifiedImage out;
  for (const PeSection& section : image.sections()) {
    if (!is_unified_section(section.name)) continue;
    if (section_is_chosen_at_boot(section.name)) {
      return refused(fmt::format("the section {} is chosen at boot", section.name));
    }
    if (image.count(section.name) != 1 || !section.whole) {
      return refused(fmt::format("the section {} is there twice or is cut short", section.name));
    }
  }
  for (const std::string_view name : stub.measured) {
    const PeSection* section = image.find(name);
    // An empty section is none to the stub.
    if (section == nullptr || section->content.empty()) continue;
    out.sections.emplace_back(name, Sha256::of(section->content));
  }
  out.image = image.authenticode();
  CKPTSEAL_ASSIGN(const PeImage inner, PeImage::parse(kernel->content));
  out.kernel = inner.authenticode();
  CKPTSEAL_ASSIGN(out.kernel_version, version_of(kernel->content));
  out.options = options_of(image);
  // Of these sections the stub makes files, in the initrd that it passes on.
  const PeSection* initrd = image.find(".initrd");
  const bool adds =
      image.count(".pcrsig") != 0 || image.count(".pcrpkey") != 0 || stub.adds_to_initrd;
  if (initrd != nullptr && !adds) out.initrd = Sha256::of(initrd->content);
  return out;
}

}  // namespace ckptseal
