// SPDX-License-Identifier: Apache-2.0
//
// Platform configuration registers in pure software: which are selected, what they hold, and the
// digests that TPM2_PolicyPCR computes from both. No hardware.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

// PCRs 0 to 23 of the SHA-256 bank, the only bank of format version 1: bit n is PCR n.
class PcrSelection {
 public:
  static constexpr unsigned count = 24;

  PcrSelection() = default;
  // Code::usage for an empty mask, a bit above 23, and PCR 10 (its value depends on the order in
  // which files were used since boot, so nothing sealed to it opens again).
  static Result<PcrSelection> of_mask(std::uint32_t mask);
  // "sha256:0,2,4" or "0,2,4" or "0+2+4", as systemd-cryptenroll writes them.
  static Result<PcrSelection> parse(std::string_view text);
  static PcrSelection standard();  // sha256:0,2,4,7,8,9,11,12

  std::uint32_t mask() const { return mask_; }
  bool contains(unsigned pcr) const { return (mask_ >> pcr & 1U) != 0; }
  std::size_t size() const;
  std::vector<unsigned> indices() const;  // ascending
  std::string text() const;               // "sha256:0,2,4"
  bool operator==(const PcrSelection&) const = default;

 private:
  explicit PcrSelection(std::uint32_t mask) : mask_(mask) {}
  std::uint32_t mask_ = 0;
};

// What selected PCRs hold: one digest for each, ascending.
struct PcrValues {
  PcrSelection selection;
  std::vector<Digest> values;

  // SHA-256 over the values in ascending order: pcrDigest of TPM 2.0 Part 3, TPM2_PolicyPCR.
  Digest digest() const;
  bool all_zero() const;
  // The PCRs, ascending, for which `current`, of the same selection, holds another value.
  std::vector<unsigned> differing(const PcrValues& current) const;
};

// What boot code measures into that PCR, in a few words, for example "boot loader" (TCG PC Client
// Platform Firmware Profile; UAPI Group, "Linux TPM PCR Registry"); empty where nothing is defined.
std::string_view pcr_purpose(unsigned pcr);

// policyDigest after TPM2_PolicyPCR on a SHA-256 session that held `before`, a fresh one zeros (TPM
// 2.0 Part 3, "TPM2_PolicyPCR"):
// SHA-256(before || TPM_CC_PolicyPCR || TPML_PCR_SELECTION || pcrDigest).
Digest policy_pcr(const PcrSelection& selection, const Digest& pcr_digest,
                  const Digest& before = Digest{});

}  // namespace ckptseal
