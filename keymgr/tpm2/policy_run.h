// SPDX-License-Identifier: Apache-2.0
//
// One try at a release policy: which path of it is taken, and what that path wants beside the state
// of the TPM. docs/policies.md.
#pragma once

#include <functional>
#include <optional>

#include "base/secret.h"
#include "policies/approval.h"
#include "policies/online_approval.h"
#include "policies/policy_digest.h"

namespace ckptseal {

// What stands behind the pointers must outlive the run.
struct PolicyRun {
  // PCRs alone, whatever they hold.
  PolicyRun(const PcrSelection& selection)  // NOLINT(google-explicit-constructor): the usual one
      : path{PcrTerm{{selection, {}}}} {}
  explicit PolicyRun(PolicyPath steps) : path(std::move(steps)) {}

  PolicyPath path;
  // For the path's approvals term, which is its first.
  const Approval* approval = nullptr;
  // TPMT_TK_VERIFIED.digest that this TPM gave for the approval earlier; empty: it verifies the
  // signature, and the new ticket is kept. A ticket that the TPM does not take is dropped.
  Bytes ticket;
  std::function<void(const Bytes&)> keep_ticket;
  // authValue of the object, for the path's PIN.
  const Secret* pin = nullptr;
  // For the path's online approval: asked once in each session, when all before it has held.
  std::function<Result<OnlineAnswer>(const OnlineRequest&)> ask;
};

}  // namespace ckptseal
