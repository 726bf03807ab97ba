// SPDX-License-Identifier: Apache-2.0
//
// Shamir's secret sharing: a data key in n values of which any k give it back and fewer say
// nothing. docs/format.md, "Threshold slot".
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace ckptseal {

inline constexpr std::size_t smallest_threshold = 2;
inline constexpr std::size_t largest_share_count = 16;

struct Share {
  std::uint8_t number = 0;  // from 1: where the polynomial has this value
  Secret value;
};

// n shares, numbered 1 to n in their order, of a data key (32 bytes). Code::usage unless k is 2 to
// n and n is 2 to 16; failed when there are no random bytes or no memory: then nothing was shared.
Result<std::vector<Share>> split_key(const Secret& data_key, std::size_t k, std::size_t n);

// What the shares give, with exactly k of them: too few or foreign ones give another key, which
// nobody but the key commitment of the file can tell. Code::failed for shares that are not 2 to 16,
// have not 32 bytes, or do not have a number of 1 to 16 each of its own.
Result<Secret> join_shares(std::span<const Share> shares);

}  // namespace ckptseal
