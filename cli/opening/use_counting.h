// SPDX-License-Identifier: Apache-2.0
//
// Writes a use of a limited checkpoint down before its content is given out. docs/state.md, "uses".
#pragma once

#include "cli/host_access.h"
#include "sealing/helper.h"

namespace ckptseal {

// Success: the record of this host and the counter of its TPM have one use more. Code::revoked when
// the uses are used up, or record and counter are not of one moment; usage on a host that keeps no
// record, unavailable when record, counter or TPM are missing. Errors are clauses or sentences, for
// with_subject().
Status count_use(const HostAccess& host, const UseRequest& use);

// Whether the record of uses can serve. Code::unavailable when
// record or counter are missing, integrity when it is damaged, revoked when they do not agree.
Status check_uses(const HostAccess& host, TpmConnection& tpm);

// Code::revoked when that time has come.
Status check_not_after(std::uint64_t not_after);

}  // namespace ckptseal
