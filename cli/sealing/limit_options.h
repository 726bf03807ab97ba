// SPDX-License-Identifier: Apache-2.0
//
// --restores and --not-after: how far a checkpoint may be used. docs/policies.md, "Limits".
#pragma once

#include <string>

#include "cli/command_line.h"
#include "policies/checkpoint.h"

namespace ckptseal {

struct LimitOptions {
  unsigned restores = 0;  // 0: not given
  std::string not_after;
};

void add_limit_options(const Verb& verb, LimitOptions& options);

// Code::usage for what is no time, or is over at `now` (seconds since 1970).
Result<UseLimits> limits_of(const LimitOptions& options, std::uint64_t now);
// Code::usage when both say the same limit.
Result<UseLimits> joined_limits(const UseLimits& of_options, const UseLimits& of_policy);

}  // namespace ckptseal
