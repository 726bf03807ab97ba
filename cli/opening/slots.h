// SPDX-License-Identifier: Apache-2.0
//
// What a slot says of itself, for programs and for people: docs/json.md, "inspect".
#pragma once

#include <functional>
#include <string>

#include "cli/command_line.h"
#include "keymgr/recipient.h"
#include "policies/tpm_public.h"
#include "sealing/helper.h"

namespace ckptseal {

// With `index`, `adder`, `adder_name`, `vouched_for` and what its kind has; of damaged slots and
// unknown kinds no more than that.
Json describe_slot(const proto::SlotReport& slot);
// Whether a slot is for the TPM with this storage parent, by itself.
std::function<bool(const SlotBody&)> is_for_tpm(const TpmName& parent);
// In hexadecimal digits, or "unsigned" for all zeros.
Json host_or_unsigned(const std::string& identity);

// The same in a line, of a threshold in a line more for each share.
std::string slot_lines(const Json& slot);

// How often and how long its content is given out, and whom that binds: docs/policies.md, "Limits".
// `slots` are those of describe_slot(); null when nothing is limited.
Json describe_limits(const HelperReport& report, const Json& slots);
// The same in a line; empty when nothing is limited.
std::string limits_line(const Json& limits);

}  // namespace ckptseal
