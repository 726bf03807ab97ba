// SPDX-License-Identifier: Apache-2.0
//
// What the limits of a checkpoint mean to a reader: when it looks at the clock, and when it has the
// use written down. docs/policies.md, "Limits". In the helper.
#pragma once

#include "sealing/jobs.h"

namespace ckptseal {

// Step 4 of "Reading" up to the data key, unless the checkpoint's time is over; slots that are
// skipped are warned of. TPM and tokens are let go of when it returns.
Result<UnlockedSlot> find_key(const SealedFile& file, const ReadJob& job, HelperChannel& channel);

// Before the first byte of content is given out, and after everything was verified that can be
// without giving out any: once it returns success, a limited checkpoint has one use less.
Status count_use(const SealedFile& file, HelperChannel& channel);

}  // namespace ckptseal
