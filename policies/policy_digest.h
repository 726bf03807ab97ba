// SPDX-License-Identifier: Apache-2.0
//
// What a TPM's policy session holds after the commands of a policy, in pure software, and which
// commands these are. TPM 2.0 Part 3, "Enhanced Authorization (EA) Commands"; docs/policies.md,
// "Digest".
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "policies/checkpoint.h"
#include "policies/policy.h"
#include "policies/tpm_public.h"

namespace ckptseal {

// TPM2_PolicyOR with the digests of all branches.
struct OrStep {
  std::vector<Digest> branches;
};

// TPM2_PolicySigned, for this checkpoint alone.
struct OnlineStep {
  EcPoint key;
  Checkpoint checkpoint;
};

// One command of a policy session.
using PolicyStep = std::variant<PcrTerm, ApprovalTerm, EpochTerm, PinTerm, OnlineStep, OrStep>;

// The commands by which one path of a policy is met, in their order.
using PolicyPath = std::vector<PolicyStep>;

// The authPolicy of a policy for which check() is good, in a slot of that checkpoint. Of a policy
// without online approval it is the same for all checkpoints.
Digest policy_digest(const Policy& policy, const Checkpoint& checkpoint);

// All paths through it, in the order of the branches: at least one.
std::vector<PolicyPath> policy_paths(const Policy& policy, const Checkpoint& checkpoint);

// What a session holds after these commands; of every path of a policy that is its policy_digest().
Digest path_digest(const PolicyPath& path);

// The TPMT_PUBLIC under which the TPM is given the key of an authority, and its Name.
Bytes authority_public_area(const EcPoint& key);
TpmName authority_name(const EcPoint& key);
// TPMS_NV_PUBLIC of a host's epoch counter once it was counted, and its Name (TPM 2.0 Part 1,
// "Names").
Bytes epoch_counter_area(std::uint32_t index);
TpmName epoch_counter_name(std::uint32_t index);

// policyRef of TPM2_PolicyAuthorize: "ckpt-seal/restore/DOMAIN".
std::string approval_reference(ApprovalPurpose purpose, std::string_view domain);
// aHash of TPM2_PolicyAuthorize, which the authority signs so that `approved` (a policy digest)
// may stand for its approval.
Digest approval_hash(const Digest& approved, std::string_view reference);

// policyRef of TPM2_PolicySigned: for which checkpoint, and within which limits.
Digest online_reference(const Checkpoint& checkpoint);

}  // namespace ckptseal
