// SPDX-License-Identifier: Apache-2.0
//
// Shows a policy session what a path of a release policy demands, command by command. Internal to
// keymgr/tpm2. TPM 2.0 Part 3, "Enhanced Authorization (EA) Commands".
#pragma once

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/policy_run.h"

namespace ckptseal {

// The ticket for the run's approval: the one it has, or a new one, for which the TPM verifies the
// approval's signature. Empty when the run has no approval.
Result<Bytes> approval_ticket(const EsysContext& context, const PolicyRun& run);

// All commands of the path, to unseal `object`. Code::policy or Code::revoked when the TPM finds
// one not met.
Status show_policy(const EsysContext& context, const EsysHandle& session, const PolicyRun& run,
                   const Bytes& ticket, const TpmName& object);

}  // namespace ckptseal
