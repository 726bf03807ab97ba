// SPDX-License-Identifier: Apache-2.0
//
// --policy: the policy document of a file, good to seal under. docs/policies.md.
#pragma once

#include <string>

#include "base/result.h"
#include "policies/policy_document.h"

namespace ckptseal {

// The policy document of that file. Code::usage when it is none.
Result<PolicyDocument> read_policy_file(const std::string& path);
// The same where a limit has no place: Code::usage if it has one.
Result<Policy> read_unlimited_policy_file(const std::string& path);

// Code::usage when the key of an authority in it is none: nothing verifies with that, so nobody
// would open what is sealed under it. `what` says where it comes from.
Status check_authorities(const Policy& policy, const std::string& what);

}  // namespace ckptseal
