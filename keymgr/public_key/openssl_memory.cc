// SPDX-License-Identifier: Apache-2.0
//
// Allocation functions for OpenSSL: the C library's, with wiping.
#include "keymgr/public_key/openssl_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <string.h>

#include <array>
#include <cstdlib>

namespace ckptseal {
namespace {

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) {
  return size == 0 ? nullptr : std::malloc(size);  // NOLINT: OpenSSL's own allocation
}

void free_wiped(void* memory, const char* /*file*/, int /*line*/) {
  if (memory == nullptr) return;
  explicit_bzero(memory, malloc_usable_size(memory));
  std::free(memory);  // NOLINT: OpenSSL's own allocation
}

void* reallocate_wiped(void* memory, std::size_t size, const char* file, int line) {
  if (size == 0) {
    free_wiped(memory, file, line);
    return nullptr;
  }
  void* moved = allocate(size, file, line);
  if (moved == nullptr || memory == nullptr) return moved;
  const std::size_t old_size = malloc_usable_size(memory);
  memcpy(moved, memory, old_size < size ? old_size : size);
  free_wiped(memory, file, line);
  return moved;
}

}  // namespace

// Not inlined, so that its frame lies where theirs were; they need less than this.
[[gnu::noinline]] void wipe_stack_below() {
  constexpr std::size_t depth = 32768;
  std::array<unsigned char, depth> below;  // NOLINT: it is for what is in it already
  explicit_bzero(below.data(), below.size());
}

bool wipe_what_openssl_frees() {
  static const bool done = CRYPTO_set_mem_functions(allocate, reallocate_wiped, free_wiped) == 1;
  return done;
}

}  // namespace ckptseal
