// SPDX-License-Identifier: Apache-2.0
//
// Hybrid slots beside others in one file: whoever breaks one slot has the data key, so the weakest
// decides. docs/format.md, "Hybrid public key slot".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "keymgr/recipient.h"

namespace ckptseal {

// The kind of a slot, and of a threshold those of its shares; its own when it cannot be read.
std::vector<std::uint16_t> kinds_in(const SlotBody& slot);

// `kinds` are those of all slots that a file would have. Code::usage when some are hybrid and some
// rest on classical public key cryptography: all others but passphrases and recovery keys. The
// message is a clause about the file, as those of sealing/ are.
Status check_mixture(std::span<const std::uint16_t> kinds);

}  // namespace ckptseal
