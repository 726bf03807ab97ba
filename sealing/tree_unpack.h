// SPDX-License-Identifier: Apache-2.0
//
// The half of unpacking that looks at the archive. It runs in a child process of its own, because
// libarchive unpacks into the current folder only.
#pragma once

#include "base/result.h"
#include "sealing/tree_common.h"

namespace ckptseal {

// Unpacks the tar stream into the current folder, which is new and which nobody else can reach,
// and reads the input to its end. Refuses what sealing/tree.h lists. Changes the locale of the
// process.
Status unpack_here(int input_fd, WarningList& warnings);

}  // namespace ckptseal
