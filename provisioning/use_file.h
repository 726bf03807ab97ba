// SPDX-License-Identifier: Apache-2.0
//
// Where a record of uses lies: read with care, written whole, changed by one at a time.
// docs/state.md, "uses".
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/fd.h"
#include "policies/use_record.h"

namespace ckptseal {

// nullopt when there is none; Code::integrity when it is damaged.
Result<std::optional<UseRecord>> read_uses(const std::string& path);
// Durable once it returns; until then the earlier record is there.
Status write_uses(const std::string& path, const UseRecord& record);

// For a record that no other lock guards, from before it is read until it is written: the lock of
// the file PATH.lock, which is made and stays. It goes with the descriptor. Code::unavailable when
// another holds it for longer than `patience`.
Result<UniqueFd> lock_uses(const std::string& path,
                           std::chrono::milliseconds patience = std::chrono::seconds(60));

}  // namespace ckptseal
