// SPDX-License-Identifier: Apache-2.0
//
// The verbs of `ckpt-seal policy`, each in a file of its own.
#pragma once

#include "cli/command_line.h"

namespace ckptseal {

void add_policy_document_verbs(const Verb& policy);  // create, show
void add_policy_predict_verb(const Verb& policy);

}  // namespace ckptseal
