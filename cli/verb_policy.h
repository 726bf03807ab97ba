// SPDX-License-Identifier: Apache-2.0
//
// The verbs of `ckpt-seal policy`, each in a file of its own.
#pragma once

#include <string>

#include "cli/command_line.h"
#include "policies/pcr_state.h"

namespace ckptseal {

void add_policy_document_verbs(const Verb& policy);  // create, show
void add_policy_predict_verb(const Verb& policy);
void add_policy_preflight_verb(const Verb& policy);

// The state document of that file. Code::integrity when it is none.
Result<PcrState> read_pcr_state_file(const std::string& path);

}  // namespace ckptseal
