// SPDX-License-Identifier: Apache-2.0
//
// The counters of a host in the TPM's NV storage: they only go up, even when they are defined anew
// (TPM 2.0 Part 1, "NV Counter"). docs/state.md, "Keys in the TPM". Internal to keymgr/tpm2.
#pragma once

#include <optional>

#include "keymgr/tpm2/esys_internal.h"

namespace ckptseal {

struct CounterKind {
  const char* name;         // "epoch counter"
  TPM2_HANDLE first_index;  // of sixteen
  TpmOperation operation;
};
inline constexpr CounterKind epoch_counter = {"epoch counter", 0x01800f00, TpmOperation::epoch};
inline constexpr CounterKind use_counter = {"use counter", 0x01800f10, TpmOperation::count_use};

struct CounterPlace {
  TPM2_HANDLE index = 0;
  bool exists = false;
};
// Where our counter stands, else the first free index of its range. Code::unavailable when others
// have taken them all.
Result<CounterPlace> find_counter(const EsysContext& context, const CounterKind& kind);
// Defines it, with what it takes to become readable.
Status define_counter(const EsysContext& context, const CounterKind& kind, TPM2_HANDLE index);
// Each with `session`, one of start_session() that serves this one time, or with a password that is
// empty. Code::unavailable when none of ours stands there.
// Its value; makes a counter readable that was defined and never counted.
Result<std::uint64_t> read_counter(const EsysContext& context, const CounterKind& kind,
                                   TPM2_HANDLE index, EsysHandle* session = nullptr);
Status increment_counter(const EsysContext& context, const CounterKind& kind, TPM2_HANDLE index,
                         EsysHandle* session = nullptr);
// Removes it if it is one of ours; says whether it was (or, for `dry_run`, would be).
Result<bool> undefine_counter(const EsysContext& context, const CounterKind& kind,
                              TPM2_HANDLE index, bool dry_run);

}  // namespace ckptseal
