// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of PCR policies, without a TPM.
#include "policies/pcr.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <optional>

#include "base/crypto.h"

namespace ckptseal {
namespace {

constexpr std::string_view bank = "sha256";
constexpr unsigned runtime_measurements = 10;  // IMA's

// TPM 2.0 Part 2, "TPM_CC" and "TPM_ALG_ID".
constexpr std::uint32_t tpm_cc_policy_pcr = 0x0000017f;
constexpr std::uint16_t tpm_alg_sha256 = 0x000b;

std::optional<unsigned> parse_index(std::string_view text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

Error not_a_selection(std::string_view text) {
  return {Code::usage,
          fmt::format("\"{}\" is no selection of PCRs: write the PCRs of the SHA-256 bank as in "
                      "\"sha256:0,2,4,7\".",
                      text),
          0};
}

}  // namespace

Result<PcrSelection> PcrSelection::of_mask(std::uint32_t mask) {
  if (mask == 0) {
    return Error{Code::usage, "No PCR is selected: name at least one, as in \"sha256:7\".", 0};
  }
  if (mask >> count != 0) {
    return Error{Code::usage, "A PCR above 23 is selected: a TPM has PCRs 0 to 23.", 0};
  }
  if ((mask >> runtime_measurements & 1U) != 0) {
    return Error{Code::usage,
                 "PCR 10 is selected, whose value depends on the order in which files were used "
                 "since boot, so that nothing sealed to it opens again: leave it out.",
                 0};
  }
  return PcrSelection(mask);
}

Result<PcrSelection> PcrSelection::parse(std::string_view text) {
  std::string_view rest = text;
  if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    if (rest.substr(0, colon) != bank) return not_a_selection(text);
    rest.remove_prefix(colon + 1);
  }
  std::uint32_t mask = 0;
  for (bool more = true; more;) {
    const auto separator = rest.find_first_of(",+");
    more = separator != std::string_view::npos;
    const std::optional<unsigned> pcr = parse_index(rest.substr(0, separator));
    if (!pcr || *pcr >= count) return not_a_selection(text);
    mask |= 1U << *pcr;
    if (more) rest.remove_prefix(separator + 1);
  }
  return of_mask(mask);
}

PcrSelection PcrSelection::standard() {
  constexpr std::uint32_t mask =
      1U << 0 | 1U << 2 | 1U << 4 | 1U << 7 | 1U << 8 | 1U << 9 | 1U << 11 | 1U << 12;
  return PcrSelection(mask);
}

std::size_t PcrSelection::size() const { return static_cast<std::size_t>(std::popcount(mask_)); }

std::vector<unsigned> PcrSelection::indices() const {
  std::vector<unsigned> out;
  for (unsigned pcr = 0; pcr < count; ++pcr) {
    if (contains(pcr)) out.push_back(pcr);
  }
  return out;
}

std::string PcrSelection::text() const {
  return fmt::format("{}:{}", bank, fmt::join(indices(), ","));
}

Digest PcrValues::digest() const {
  Sha256 hash;
  for (const Digest& value : values) hash.update(value);
  return hash.finish();
}

bool PcrValues::all_zero() const {
  for (const Digest& value : values) {
    if (!ckptseal::all_zero(value)) return false;
  }
  return true;
}

std::vector<unsigned> PcrValues::differing(const PcrValues& current) const {
  std::vector<unsigned> out;
  const std::vector<unsigned> pcrs = selection.indices();
  for (std::size_t i = 0; i < pcrs.size() && i < values.size(); ++i) {
    if (i >= current.values.size() || values[i] != current.values[i]) out.push_back(pcrs[i]);
  }
  return out;
}

std::string_view pcr_purpose(unsigned pcr) {
  switch (pcr) {
    case 0:
      return "firmware";
    case 1:
      return "firmware settings";
    case 2:
      return "option ROMs";
    case 3:
      return "settings of option ROMs";
    case 4:
      return "boot loader";
    case 5:
      return "partition table";
    case 7:
      return "Secure Boot";
    case 8:
      return "boot commands";
    case 9:
      return "kernel and initrd";
    case 11:
      return "unified kernel image";
    case 12:
      return "kernel command line";
    case 13:
      return "system extensions";
    case 14:
      return "shim's keys";
    case 15:
      return "system identity";
    case 16:
      return "debug";
    case 23:
      return "applications";
    default:
      return "";
  }
}

Digest policy_pcr(const PcrSelection& selection, const Digest& pcr_digest, const Digest& before) {
  const std::uint32_t mask = selection.mask();
  ByteWriter extension;
  extension.bytes(before).u32(tpm_cc_policy_pcr);
  // TPML_PCR_SELECTION with one bank; in pcrSelect, PCR n is bit n mod 8 of octet n div 8.
  extension.u32(1).u16(tpm_alg_sha256).u8(PcrSelection::count / 8);
  for (unsigned shift = 0; shift < PcrSelection::count; shift += 8) {
    extension.u8(static_cast<std::uint8_t>(mask >> shift));
  }
  extension.bytes(pcr_digest);
  return Sha256::of(extension.view());
}

}  // namespace ckptseal
