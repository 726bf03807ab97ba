// SPDX-License-Identifier: Apache-2.0
//
// What provisioning does with the host record, wherever the keys are. docs/state.md, "host.record".
#pragma once

#include "provisioning/provision.h"

namespace ckptseal {

// Code::usage when name or labels cannot be.
Status check_request(const ProvisionRequest& request,
                     const std::optional<SignedHostRecord>& present);

// Signs and writes the record unless the present one, `outcome.record`, still says the same.
Status bring_record_up_to_date(const State& state, const ProvisionRequest& request,
                               const HostRecord& statement, const DigestSigner& signer,
                               ProvisionOutcome& outcome);

}  // namespace ckptseal
