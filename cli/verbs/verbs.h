// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the command. Each adds its options to the command line and says what is done when it
// is chosen.
#pragma once

#include "cli/command_line.h"

namespace ckptseal {

void add_provision_verb(const Verb& command);
void add_host_verbs(const Verb& command);
void add_dump_verb(const Verb& command);
void add_restore_verb(const Verb& command);
void add_seal_verb(const Verb& command);
void add_open_verb(const Verb& command);
void add_inspect_verb(const Verb& command);
void add_verify_verb(const Verb& command);
void add_rewrap_verb(const Verb& command);
void add_shred_verb(const Verb& command);
void add_policy_verbs(const Verb& command);
void add_authority_verbs(const Verb& command);
void add_keygen_verb(const Verb& command);
void add_doctor_verb(const Verb& command);

}  // namespace ckptseal
