// SPDX-License-Identifier: Apache-2.0
//
// The epoch of a host: an NV counter that only goes up, even when it is defined anew (TPM 2.0 Part
// 1, "NV Counter"). Internal to keymgr/tpm2.
#pragma once

#include "keymgr/tpm2/esys_internal.h"

namespace ckptseal {

struct EpochPlace {
  TPM2_HANDLE index = 0;
  bool exists = false;
};
// Where our counter stands, else the first free index of our range. Code::unavailable when others
// have taken them all.
Result<EpochPlace> find_epoch(const EsysContext& context);
// Defines it, with what it takes to become readable.
Status define_epoch(const EsysContext& context, TPM2_HANDLE index);
// Its value; makes a counter readable that was defined and never counted.
Result<std::uint64_t> read_epoch(const EsysContext& context, TPM2_HANDLE index);
// Counts it up and gives its new value. Code::failed when none of ours stands there.
Result<std::uint64_t> increment_epoch(const EsysContext& context, TPM2_HANDLE index);
// Removes it if it is one of ours; says whether it was (or, for `dry_run`, would be).
Result<bool> undefine_epoch(const EsysContext& context, TPM2_HANDLE index, bool dry_run);

}  // namespace ckptseal
