// SPDX-License-Identifier: Apache-2.0
//
// The verbs of `ckpt-seal policy`, each in a file of its own.
#pragma once

#include <string>

#include "cli/command_line.h"
#include "policies/event_log.h"
#include "policies/pcr_state.h"

namespace ckptseal {

void add_policy_document_verbs(const Verb& policy);  // create, show
void add_policy_predict_verb(const Verb& policy);
void add_policy_preflight_verb(const Verb& policy);
void add_policy_explain_verb(const Verb& policy);

// The state document of that file. Code::integrity when it is none.
Result<PcrState> read_pcr_state_file(const std::string& path);

inline constexpr const char* kernel_event_log =
    "/sys/kernel/security/tpm0/binary_bios_measurements";
Result<EventLog> read_event_log(const std::string& path);

}  // namespace ckptseal
