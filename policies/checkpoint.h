// SPDX-License-Identifier: Apache-2.0
//
// Which sealed checkpoint, and how far it may be used, whichever slot opens it.
// docs/format.md, "Immutable part"; docs/policies.md, "Limits".
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/crypto.h"

namespace ckptseal {

using CheckpointId = ByteArray<16>;
using UseKey = ByteArray<16>;  // what a record of uses knows a checkpoint by

struct UseLimits {
  std::uint32_t restores = 0;   // how often its content may be given out; 0: without limit
  std::uint64_t not_after = 0;  // seconds since 1970, refused from then on; 0: never
  bool operator==(const UseLimits&) const = default;
};

struct Checkpoint {
  CheckpointId id{};
  UseLimits limits;
  bool exclusive = false;  // for one holder of one key, for ever: docs/format.md, "Suites"
  Digest origin{};         // host identity; all zero: unsigned
};

}  // namespace ckptseal
