// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal authority answer`, and the record of uses that it counts in.
#pragma once

#include <string>

#include "cli/command_line.h"

namespace ckptseal {

void add_authority_answer_verb(const Verb& authority);

// An empty record of uses, unless there is one: what was counted is never taken back. True when it
// was made.
Result<bool> make_answer_record(const std::string& path);

}  // namespace ckptseal
