// SPDX-License-Identifier: Apache-2.0
//
// What a slot says of itself, for programs and for people: docs/json.md, "inspect".
#pragma once

#include <string>

#include "cli/command_line.h"
#include "sealing/helper.h"

namespace ckptseal {

// With `index`, `adder` and what its kind has; of damaged slots and unknown kinds no more than
// that.
Json describe_slot(const proto::SlotReport& slot, int index);

// The same in a line, of a threshold in a line more for each share.
std::string slot_lines(const Json& slot);

}  // namespace ckptseal
