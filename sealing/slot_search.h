// SPDX-License-Identifier: Apache-2.0
//
// Which slot opens a file, and what the ones before it that do not are for. docs/format.md, "Which
// slot opens". In the helper.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "keymgr/refusals.h"
#include "sealing/sealed_file.h"

namespace ckptseal {

struct UnlockedSlot {
  std::size_t index = 0;
  Secret data_key;  // its commitment is the file's
};

struct SlotSearch {
  std::span<const std::unique_ptr<Identity>> identities;
  ReaderTrust trust;
  std::optional<std::size_t> only_slot;  // no other is looked at
  SkipWarning warn;                      // left out: nobody is told
};

// The data key by the first slot that opens, of a file that was verified. When none does, the error
// that weighs most of what was met, Code::no_slot if nothing was; all others were warned of.
Result<UnlockedSlot> find_slot(const SealedFile& file, const SlotSearch& search);

}  // namespace ckptseal
