// SPDX-License-Identifier: Apache-2.0
//
// Looks for what a secret leaves behind where libraries work: in blocks of the heap when they are
// freed, and in the heap and on the stack afterwards. Secrets themselves are mappings of their own,
// which are not searched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace ckptseal::test {

// One at a time. `secret`, of 32 bytes, must outlive it.
class LeftoverWatch {
 public:
  explicit LeftoverWatch(ByteView secret);
  ~LeftoverWatch();
  LeftoverWatch(const LeftoverWatch&) = delete;
  LeftoverWatch& operator=(const LeftoverWatch&) = delete;

  // Blocks that held the secret when they were freed since this object was made.
  std::size_t freed_with_it() const;
  // Whether the heap of the main arena or the main stack holds it now.
  bool still_there() const;

 private:
  struct Area {
    const std::uint8_t* begin;
    const std::uint8_t* end;
  };

  ByteView secret_;
  std::vector<Area> areas_;  // found before the work, so that finding them hides nothing
};

}  // namespace ckptseal::test
