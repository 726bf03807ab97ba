// SPDX-License-Identifier: Apache-2.0
//
// Looks for leftovers of a secret in this process's heap and stack, where libraries work.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "base/bytes.h"

#ifdef __SANITIZE_ADDRESS__
#define CKPTSEAL_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CKPTSEAL_ADDRESS_SANITIZER
#endif
#endif

namespace ckptseal::test {

// Where to search; made before the secret is, so that what it allocates hides nothing of it.
class MemorySearch {
 public:
  MemorySearch() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      const bool stack = line.find("[stack]") != std::string::npos;
      if (!stack && line.find("[heap]") == std::string::npos) continue;
      const auto dash = line.find('-');
      areas_.push_back({address(line.substr(0, dash)), address(line.substr(dash + 1))});
    }
  }

  // Whether a half of `secret` (32 bytes), in the order of its bytes or in that of GMP's limbs,
  // stands in the heap of the main arena or on the main stack. Halves, because freed memory loses
  // its first bytes to the allocator. Nothing here keeps a plain copy of more than one byte.
  bool finds(ByteView secret) const {
    for (const Area& area : areas_) {
      for (const std::uint8_t* at = area.begin; at + half <= area.end; ++at) {
        if (same_half(at, secret.first(half)) || same_half(at, secret.last(half))) return true;
      }
    }
    return false;
  }

 private:
  static constexpr std::size_t half = 16;

  struct Area {
    const std::uint8_t* begin;
    const std::uint8_t* end;
  };

  static const std::uint8_t* address(const std::string& hex) {
    return reinterpret_cast<const std::uint8_t*>(std::stoull(hex, nullptr, 16));  // NOLINT
  }
  static bool same_half(const std::uint8_t* at, ByteView part) {
    bool forward = true;
    bool backward = true;
    for (std::size_t i = 0; i < half && (forward || backward); ++i) {
      forward = forward && at[i] == part[i];
      backward = backward && at[i] == part[half - 1 - i];
    }
    return forward || backward;
  }

  std::vector<Area> areas_;
};

}  // namespace ckptseal::test
