// SPDX-License-Identifier: Apache-2.0
//
// The counter of a host's uses of limited checkpoints: what binds the record of them to this TPM
// and this moment. Whatever stands between the host and its TPM can change neither. docs/state.md,
// "uses".
#pragma once

#include "keymgr/tpm2/keys.h"
#include "keymgr/tpm2/tcti.h"

namespace ckptseal {

// Each in a session that is salted to the pinned storage parent. Code::unavailable when none of
// ours stands at `index`.
Result<std::uint64_t> read_use_count(TpmConnection& connection, const TpmKeys& keys,
                                     std::uint32_t index);
Status count_use(TpmConnection& connection, const TpmKeys& keys, std::uint32_t index);

}  // namespace ckptseal
