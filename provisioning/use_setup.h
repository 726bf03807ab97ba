// SPDX-License-Identifier: Apache-2.0
//
// What provisioning does with the record of uses. docs/state.md, "uses".
#pragma once

#include <optional>
#include <string>

#include "provisioning/provision.h"
#include "provisioning/use_file.h"

namespace ckptseal {

// Whether record and counter are of one moment, or the record is one ahead, which is what a crash
// between the two leaves.
bool agrees(const UseRecord& record, std::uint32_t counter_index, std::uint64_t counter);

// Leaves a record that agrees as it is, and else makes an empty one, saying so in `outcome` unless
// it is the first: `outcome.steps` tell whether the counter was there before.
Status bring_uses_up_to_date(const State& state, const ProvisionRequest& request,
                             const TpmIdentity& identity, ProvisioningTpm& tpm,
                             ProvisionOutcome& outcome);

}  // namespace ckptseal
