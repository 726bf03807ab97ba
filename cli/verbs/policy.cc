// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal policy`: what must hold for a slot to open, and what state a host will be in.
#include "cli/verbs/policy.h"

#include "cli/verbs/verbs.h"

namespace ckptseal {

void add_policy_verbs(const Verb& command) {
  const Verb policy = command.group(
      "policy", "What must hold for a slot to open: create, show, predict, preflight, explain");
  add_policy_document_verbs(policy);
  add_policy_predict_verb(policy);
  add_policy_preflight_verb(policy);
  add_policy_explain_verb(policy);
}

}  // namespace ckptseal
