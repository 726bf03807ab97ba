// SPDX-License-Identifier: Apache-2.0
//
// Reads the headers of an EFI image. Field names are those of Microsoft's "PE Format"; numbers are
// little-endian.
#include "policies/pe_image.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crypto.h"
#include "policies/little_endian.h"

namespace ckptseal {
namespace {

constexpr std::size_t pe_offset_at = 0x3c;
constexpr std::size_t coff_header = 4 + 20;  // with "PE\0\0" before it
constexpr std::size_t checksum_at = 64;      // in the optional header, both forms
constexpr std::size_t section_header = 40;
constexpr std::uint32_t certificate_directory = 4;
constexpr std::size_t directory_size = 8;

Error refused(std::string_view why) {
  return {Code::integrity,
          fmt::format("The EFI image is refused because {}: name a whole image that firmware can "
                      "start.",
                      why),
          0};
}

struct Headers {
  std::size_t optional_at = 0;
  std::size_t directories_at = 0;  // of the optional header's entries
  std::uint32_t directories = 0;
  std::size_t sections_at = 0;
  std::size_t sections = 0;
  std::size_t size = 0;  // SizeOfHeaders
  std::size_t certificates_at = 0;
  std::size_t certificates = 0;  // their size
};

struct RawSection {
  std::string name;
  std::size_t virtual_size = 0;
  std::size_t at = 0;
  std::size_t size = 0;
};

// "MS-DOS Stub" and "COFF File Header".
Result<Headers> parse_coff(ByteView file) {
  LittleEndianReader dos(file);
  const std::uint16_t magic = dos.u16();
  (void)dos.view(pe_offset_at - 2);
  const std::size_t pe_at = dos.u32();
  if (!dos.ok() || magic != 0x5a4d || pe_at < pe_offset_at + 4 || pe_at > file.size()) {
    return refused("it does not begin as one");
  }
  LittleEndianReader coff(file.subspan(pe_at));
  const std::uint32_t signature = coff.u32();
  (void)coff.u16();  // Machine
  Headers out;
  out.sections = coff.u16();
  (void)coff.view(12);  // time, symbols
  const std::size_t optional_size = coff.u16();
  (void)coff.u16();  // Characteristics
  if (!coff.ok() || signature != 0x4550) return refused("it has no PE header");
  if (out.sections == 0 || out.sections > PeImage::most_sections) {
    return refused(fmt::format("it has {} sections", out.sections));
  }
  out.optional_at = pe_at + coff_header;
  out.sections_at = out.optional_at + optional_size;
  const std::size_t end = out.sections_at + out.sections * section_header;
  if (end > file.size()) return refused("its headers are cut short");
  return out;
}

// "Optional Header": the two forms differ in what stands before the data directories.
Status parse_optional(ByteView file, Headers& out) {
  const ByteView optional = file.subspan(out.optional_at, out.sections_at - out.optional_at);
  LittleEndianReader reader(optional);
  const std::uint16_t magic = reader.u16();
  const std::size_t before = magic == 0x20b ? 112 : 96;
  (void)reader.view(60 - 2);
  out.size = reader.u32();
  (void)reader.view(before - 4 - 64);
  out.directories = reader.u32();
  const std::size_t left = reader.remaining();
  if (!reader.ok() || (magic != 0x10b && magic != 0x20b) || out.directories > 16 ||
      left != out.directories * directory_size) {
    return refused("its optional header is malformed");
  }
  out.directories_at = out.optional_at + before;
  if (out.directories > certificate_directory) {
    (void)reader.view(certificate_directory * directory_size);
    out.certificates_at = reader.u32();
    out.certificates = reader.u32();
  }
  const std::size_t end = out.sections_at + out.sections * section_header;
  if (out.size < end || out.size > file.size()) return refused("its headers have a wrong size");
  if (out.certificates == 0 && out.certificates_at == 0) return {};
  // "Certificate Table": the last of the file.
  if (out.certificates_at < out.size || out.certificates_at > file.size() ||
      out.certificates != file.size() - out.certificates_at) {
    return refused("its signatures are not at its end");
  }
  return {};
}

Result<std::vector<RawSection>> parse_sections(ByteView file, const Headers& headers) {
  LittleEndianReader reader(file.subspan(headers.sections_at, headers.sections * section_header));
  std::vector<RawSection> out;
  for (std::size_t i = 0; i < headers.sections; ++i) {
    RawSection section;
    const ByteView name = reader.view(8);
    const auto end = std::find(name.begin(), name.end(), 0);
    section.name.assign(name.begin(), end);
    if (!std::all_of(end, name.end(), [](std::uint8_t byte) { return byte == 0; })) {
      return refused("a section's name has something behind its end");
    }
    section.virtual_size = reader.u32();
    (void)reader.u32();  // VirtualAddress
    section.size = reader.u32();
    section.at = reader.u32();
    (void)reader.view(16);  // relocations, line numbers, Characteristics
    out.push_back(std::move(section));
  }
  return out;
}

}  // namespace

Result<PeImage> PeImage::parse(ByteView file) {
  if (file.size() > largest) return refused(fmt::format("it is larger than {} bytes", largest));
  CKPTSEAL_ASSIGN(Headers headers, parse_coff(file));
  CKPTSEAL_TRY(parse_optional(file, headers));
  CKPTSEAL_ASSIGN(std::vector<RawSection> sections, parse_sections(file, headers));
  PeImage out;
  for (const RawSection& section : sections) {
    const std::size_t size = std::min(section.size, section.virtual_size);
    const bool there = size == 0 || (section.at <= file.size() && size <= file.size() - section.at);
    if (!there) return refused("a section is cut short");
    out.sections_.push_back({section.name, size == 0 ? ByteView() : file.subspan(section.at, size),
                             section.virtual_size <= section.size});
  }
  // Steps 3 to 14 of "Calculating the PE Image Hash". The image hash of a file with gaps between
  // sections would leave bytes out that count elsewhere, so that such a file is refused.
  const std::size_t checksum = headers.optional_at + checksum_at;
  std::size_t from = checksum + 4;
  out.measured_.push_back(file.first(checksum));
  if (headers.directories > certificate_directory) {
    const std::size_t entry = headers.directories_at + certificate_directory * directory_size;
    out.measured_.push_back(file.subspan(from, entry - from));
    from = entry + directory_size;
  }
  out.measured_.push_back(file.subspan(from, headers.size - from));
  std::stable_sort(sections.begin(), sections.end(),
                   [](const RawSection& a, const RawSection& b) { return a.at < b.at; });
  std::size_t done = headers.size;
  const std::size_t end = file.size() - headers.certificates;
  for (const RawSection& section : sections) {
    if (section.size == 0) continue;
    if (section.at != done) return refused("its sections overlap or leave gaps");
    if (section.size > end - done) return refused("a section is cut short");
    out.measured_.push_back(file.subspan(done, section.size));
    done += section.size;
  }
  out.measured_.push_back(file.subspan(done, end - done));
  return out;
}

Digest PeImage::authenticode() const {
  Sha256 hash;
  for (const ByteView part : measured_) hash.update(part);
  return hash.finish();
}

std::size_t PeImage::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(sections_.begin(), sections_.end(),
                    [&](const PeSection& section) { return section.name == name; }));
}

const PeSection* PeImage::find(std::string_view name) const {
  if (count(name) != 1) return nullptr;
  return &*std::find_if(sections_.begin(), sections_.end(),
                        [&](const PeSection& section) { return section.name == name; });
}

}  // namespace ckptseal
