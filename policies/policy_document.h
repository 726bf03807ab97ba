// SPDX-License-Identifier: Apache-2.0
//
// A release policy as people write it: a JSON document, and the same in words. docs/policies.md,
// "Document". What depends on the host may be left open there, and is filled in from its record.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policies/checkpoint.h"
#include "policies/policy.h"

namespace ckptseal {

// An open term is a PcrTerm without values, or an EpochTerm with the index 0. Policy::check()
// refuses both, so nothing is sealed under a policy that is not complete.

// What the hosts' TPMs demand, and what limits the checkpoint as a whole.
struct PolicyDocument {
  Policy policy;
  UseLimits limits;
};

// `what` names the document in errors: "The policy p.json". Code::usage: no such document, a rule
// of docs/policies.md is broken; says where.
Result<PolicyDocument> parse_policy_document(std::string_view text, const std::string& what);
// The document of a policy, open or not; parse_policy_document() gives the same policy again.
std::string policy_document(const Policy& policy, const UseLimits& limits = {});

// What fills open terms.
struct PolicyState {
  PcrValues pcrs;
  EpochTerm epoch;
};
// Code::usage when it wants a PCR that the state has not. `whose` in errors: "host-b".
Result<Policy> complete(const Policy& policy, const PolicyState& state, const std::string& whose);
// With all PCR values and epochs taken out.
Policy opened(const Policy& policy);
// The rules of a policy also for an open one.
Status check_open(const Policy& policy);

// In a clause: "sha256:7,11, an epoch of at most 4, the PIN".
std::string policy_words(const Policy& policy);
// One for each limit: "at most 3 restores", "not after 2027-01-31T12:00:00Z".
std::vector<std::string> limit_words(const UseLimits& limits);

}  // namespace ckptseal
