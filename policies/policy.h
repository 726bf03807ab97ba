// SPDX-License-Identifier: Apache-2.0
//
// A release policy as data: what must hold for a TPM slot to open. docs/policies.md, "Terms" and
// "Encoding". No hardware; the arithmetic of its digest is in policy_digest.h.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"
#include "policies/pcr.h"

namespace ckptseal {

// What the holder of an approved state may do with the sealed key.
enum class ApprovalPurpose : std::uint8_t { restore = 1, migrate = 2 };

std::string_view purpose_word(ApprovalPurpose purpose);  // "restore"

struct PcrTerm {
  PcrValues pcrs;
};

// The PCRs hold values that the authority has signed for this domain and purpose.
struct ApprovalTerm {
  ApprovalPurpose purpose = ApprovalPurpose::restore;
  EcPoint key;         // the authority's; whether it is on the curve is for who uses it
  std::string domain;  // a name as in docs/host-record.md, "Name"
  bool operator==(const ApprovalTerm&) const = default;
};

// The counter at that NV index is at most this.
struct EpochTerm {
  std::uint32_t index = 0;
  std::uint64_t at_most = 0;
  bool operator==(const EpochTerm&) const = default;
};

struct PinTerm {};

// Whoever has the private key signs for each opening.
struct OnlineTerm {
  EcPoint key;  // whether it is on the curve is for who uses it
  bool operator==(const OnlineTerm&) const = default;
};

struct Policy;
struct AnyTerm {
  std::vector<Policy> branches;  // 2 to 8
};

using PolicyTerm = std::variant<PcrTerm, ApprovalTerm, EpochTerm, PinTerm, OnlineTerm, AnyTerm>;

// All of the terms hold. Without any term, everybody who reaches the TPM meets it.
struct Policy {
  std::vector<PolicyTerm> terms;

  // Code::usage when a rule of the spec is broken; says which.
  Status check() const;
  // Of a policy for which check() is good.
  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes of such a policy.
  static Result<Policy> parse(ByteView bytes);

  // Anywhere in it.
  bool has_pin() const;
  bool has_epoch() const;
  bool has_pcr_values() const;
  bool has_online() const;
  // A branch by which the key may go to another host.
  bool can_migrate() const;
  // On every path: nothing opens without an answer.
  bool always_online() const;
};

inline constexpr std::size_t largest_policy = 8192;

// Whether it is a name that a host could have (docs/host-record.md, "Name").
bool is_domain(std::string_view text);

}  // namespace ckptseal
