// SPDX-License-Identifier: Apache-2.0
//
// EFI images put together byte by byte, so that each field can be wrong on its own.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace ckptseal::test {

struct PeFile {
  std::vector<std::pair<std::string, std::string>> sections = {{".text", "code"}};
  Bytes certificates;
  Bytes tail;  // behind the last section

  static constexpr std::size_t pe_at = 0x40;
  static constexpr std::size_t optional_at = pe_at + 24;
  static constexpr std::size_t checksum_at = optional_at + 64;
  static constexpr std::size_t certificate_entry_at = optional_at + 112 + std::size_t{4} * 8;
  static constexpr std::size_t sections_at = optional_at + 112 + std::size_t{16} * 8;
  static constexpr std::size_t alignment = 512;

  static std::size_t aligned(std::size_t size) {
    return (size + alignment - 1) / alignment * alignment;
  }
  static void put(Bytes& out, std::size_t at, std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) {
      out.at(at + i) = static_cast<std::uint8_t>(value >> (8 * i));
    }
  }

  std::size_t header_size() const { return aligned(sections_at + 40 * sections.size()); }

  Bytes bytes() const {
    Bytes out(header_size());
    out[0] = 'M';
    out[1] = 'Z';
    put(out, 0x3c, pe_at, 4);
    put(out, pe_at, 0x4550, 4);
    put(out, pe_at + 4, 0x8664, 2);
    put(out, pe_at + 6, sections.size(), 2);
    put(out, pe_at + 20, 112 + 16 * 8, 2);
    put(out, optional_at, 0x20b, 2);
    put(out, optional_at + 60, header_size(), 4);
    put(out, checksum_at, 0x12345678, 4);
    put(out, optional_at + 108, 16, 4);
    std::size_t entry = sections_at;
    for (const auto& [name, content] : sections) {
      for (std::size_t i = 0; i < name.size(); ++i) put(out, entry + i, as_bytes(name)[i], 1);
      put(out, entry + 8, content.size(), 4);
      put(out, entry + 16, aligned(content.size()), 4);
      put(out, entry + 20, out.size(), 4);
      const std::size_t at = out.size();
      out.resize(at + aligned(content.size()));
      for (std::size_t i = 0; i < content.size(); ++i) put(out, at + i, as_bytes(content)[i], 1);
      entry += 40;
    }
    out.insert(out.end(), tail.begin(), tail.end());
    if (!certificates.empty()) {
      put(out, certificate_entry_at, out.size(), 4);
      put(out, certificate_entry_at + 4, certificates.size(), 4);
      out.insert(out.end(), certificates.begin(), certificates.end());
    }
    return out;
  }
};

// A kernel for x86 as far as its headers go, of this version.
inline std::string fake_kernel(const std::string& version, const std::string& code = "kernel") {
  PeFile file;
  file.sections = {{".setup", std::string(512, 's')}, {".text", code}};
  Bytes out = file.bytes();
  for (std::size_t i = 0; i < 4; ++i) out[0x202 + i] = as_bytes("HdrS")[i];
  PeFile::put(out, 0x20e, 0x300, 2);  // behind 0x200
  for (std::size_t i = 0; i < version.size(); ++i) out[0x500 + i] = as_bytes(version)[i];
  return std::string(as_text(out));
}

inline PeFile fake_unified_image(const std::string& stub = "252.39-1~deb12u2") {
  PeFile file;
  file.sections = {{".text", "stub"},
                   {".sdmagic", "#### LoaderInfo: systemd-stub " + stub + " ####"},
                   {".sbat", "sbat,1"},
                   {".initrd", "initrd"},
                   {".osrel", "ID=test"},
                   {".cmdline", "quiet"},
                   {".linux", fake_kernel("6.1.0-56-cloud-amd64")}};
  return file;
}

}  // namespace ckptseal::test
