// SPDX-License-Identifier: Apache-2.0
//
// Whether a release policy will be met in a state that is only foreseen. Pure: it asks no TPM, and
// says nothing of PIN and online approval but that they are wanted. docs/policies.md, "Preflight".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policies/approval.h"
#include "policies/pcr_state.h"
#include "policies/policy.h"

namespace ckptseal {

// What the TPM will hold.
struct ForeseenState {
  PcrState pcrs;
  EpochTerm epoch;  // the counter of the host, and its value
};

struct Forecast {
  enum class Verdict : std::uint8_t {  // from the best
    opens,
    opens_with_pin,
    opens_with_answer,  // once whoever approves online answers; and with the PIN, if it wants one
    unknown,            // the state says nothing of some of its PCRs
    not_approved,       // approvals are wanted, and none is of that state
    other_pcrs,         // literal values are wanted, and the state has others
    revoked,            // the epoch of the host is above that of the policy
    never,              // only for migration, or of another counter
  };
  Verdict verdict = Verdict::never;
  std::vector<unsigned> pcrs;             // unknown: those; not_approved, other_pcrs: that differ
  std::optional<ApprovalTerm> authority;  // not_approved: who would have to approve
};

// Of the path that comes farthest. `approvals` are those at hand that hold then.
Forecast forecast(const Policy& policy, const ForeseenState& state,
                  const std::vector<Approval>& approvals);

// "opens", "opens_with_pin", "opens_with_answer", "unknown", "not_approved", "other_pcrs",
// "revoked", "never".
std::string_view verdict_word(Forecast::Verdict verdict);

}  // namespace ckptseal
