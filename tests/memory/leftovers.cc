// SPDX-License-Identifier: Apache-2.0
//
// Puts its own free() and realloc() before the C library's: those that libraries and operator
// delete call, too, for the program's come first.
#include "leftovers.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>

// The C library's own, under the names that it keeps for this.
extern "C" void __libc_free(void* block);                        // NOLINT
extern "C" void* __libc_realloc(void* block, std::size_t size);  // NOLINT

namespace ckptseal::test {
namespace {

// Halves, because freed memory loses its first bytes to the allocator.
constexpr std::size_t half = 16;

ByteView watched;
std::size_t hits = 0;

// In the order of its bytes or in that of GMP's limbs.
bool same_half(const std::uint8_t* at, ByteView part) {
  bool forward = true;
  bool backward = true;
  for (std::size_t i = 0; i < half && (forward || backward); ++i) {
    forward = forward && at[i] == part[i];
    backward = backward && at[i] == part[half - 1 - i];
  }
  return forward || backward;
}

bool holds(const std::uint8_t* begin, const std::uint8_t* end, ByteView secret) {
  for (const std::uint8_t* at = begin; at + half <= end; ++at) {
    if (same_half(at, secret.first(half)) || same_half(at, secret.last(half))) return true;
  }
  return false;
}

const std::uint8_t* address(const std::string& hex) {
  return reinterpret_cast<const std::uint8_t*>(std::stoull(hex, nullptr, 16));  // NOLINT
}

}  // namespace

LeftoverWatch::LeftoverWatch(ByteView secret) : secret_(secret) {
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());  // what is looked at later stays
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const bool stack = line.find("[stack]") != std::string::npos;
    if (!stack && line.find("[heap]") == std::string::npos) continue;
    const auto dash = line.find('-');
    areas_.push_back({address(line.substr(0, dash)), address(line.substr(dash + 1))});
  }
  hits = 0;
  watched = secret;
}

LeftoverWatch::~LeftoverWatch() { watched = {}; }

std::size_t LeftoverWatch::freed_with_it() const { return hits; }

bool LeftoverWatch::still_there() const {
  for (const Area& area : areas_) {
    if (holds(area.begin, area.end, secret_)) return true;
  }
  return false;
}

}  // namespace ckptseal::test

// Sanitizers have a heap of their own; these tests do not run under them.
#ifndef CKPTSEAL_SANITIZED

namespace {

void look_at(void* block) {
  if (block == nullptr || ckptseal::test::watched.empty()) return;
  const auto* begin = static_cast<const std::uint8_t*>(block);
  const auto* end = begin + malloc_usable_size(block);
  if (ckptseal::test::holds(begin, end, ckptseal::test::watched)) ++ckptseal::test::hits;
}

}  // namespace

extern "C" void free(void* block) {
  look_at(block);
  __libc_free(block);
}

// What it moves away from is freed without free().
extern "C" void* realloc(void* block, std::size_t size) {
  if (block == nullptr) return __libc_realloc(block, size);
  const std::size_t old = malloc_usable_size(block);
  if (size != 0 && size <= old) return __libc_realloc(block, size);
  void* const moved = size == 0 ? nullptr : std::malloc(size);
  if (moved != nullptr) std::memcpy(moved, block, old);
  if (moved != nullptr || size == 0) free(block);
  return moved;
}

#endif  // CKPTSEAL_SANITIZED
