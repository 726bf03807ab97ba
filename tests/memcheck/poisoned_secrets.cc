// SPDX-License-Identifier: Apache-2.0
//
// To be run by valgrind's memcheck: secrets are marked as uninitialised, so that it reports every
// branch and every address that depends on them. That is what makes time depend on a secret. Usage:
// poisoned_secrets CASE
#include <valgrind/memcheck.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "sealing/chunk.h"
#include "sealing/file_keys.h"

namespace ckptseal {
namespace {

Secret poisoned(std::uint8_t content) {
  Secret out = Secret::copy_of(Bytes(32, content)).value();
  VALGRIND_MAKE_MEM_UNDEFINED(out.view().data(), out.size());
  return out;
}

template <typename T>
T revealed(T value) {
  VALGRIND_MAKE_MEM_DEFINED(&value, sizeof value);
  return value;
}

// Differing nowhere, at the start, in the middle and at the end.
int compare(bool (*equal)(ByteView, ByteView)) {
  const Secret secret = poisoned(7);
  for (const std::size_t at : {32U, 0U, 16U, 31U}) {
    Bytes other(32, 7);
    if (at < other.size()) other[at] = 8;
    if (revealed(equal(secret.view(), other)) != (at == other.size())) return 1;
  }
  return 0;
}

int derive_keys() {
  const Secret key = poisoned(1);
  const CheckpointId id{};
  const Result<Digest> commitment = commit_to_key(key, id);
  const Result<FileKeys> keys = FileKeys::derive(key, Bytes(100, 2));
  if (!commitment.ok() || !keys.ok() || !keys.value().image_key(3).ok()) return 1;
  const Digest mac = hmac_sha256(keys.value().header_key().view(), Bytes(300, 4));
  const bool equal = equal_constant_time(mac, commitment.value());
  return revealed(equal) ? 1 : 0;
}

// Only whether the tag fits is no secret, and is asked with contents that are not marked.
int encrypt(Cipher cipher, bool portable) {
  const Secret key = poisoned(1);
  Result<Aead> aead = portable ? Aead::make_portable(cipher, key) : Aead::make(cipher, key);
  if (!aead.ok()) return 1;
  Bytes data(100'000, 5);
  VALGRIND_MAKE_MEM_UNDEFINED(data.data(), data.size());
  return aead.value().encrypt(Nonce{}, {}, data).ok() ? 0 : 1;
}

bool leaky_equal(ByteView a, ByteView b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// A table that is looked up by a secret, as slow ciphers do it.
int leaky_index() {
  const Secret secret = poisoned(7);
  const Bytes table(256, 9);
  volatile std::uint8_t found = table[secret.view()[0]];
  (void)found;
  return 0;
}

int run(std::string_view name) {
  if (name == "compare") return compare(equal_constant_time);
  if (name == "derive_keys") return derive_keys();
  if (name == "aes_256_gcm") return encrypt(Cipher::aes_256_gcm, false);
  if (name == "aes_256_gcm_portable") return encrypt(Cipher::aes_256_gcm, true);
  if (name == "chacha20_poly1305") return encrypt(Cipher::chacha20_poly1305, false);
  if (name == "leaky_compare") return compare(leaky_equal);
  if (name == "leaky_index") return leaky_index();
  std::fprintf(stderr, "There is no case %.*s.\n", static_cast<int>(name.size()), name.data());
  return 2;
}

}  // namespace
}  // namespace ckptseal

int main(int argc, char** argv) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::fprintf(stderr, "Only valgrind sees anything here.\n");
    return 2;
  }
  return argc == 2 ? ckptseal::run(argv[1]) : 2;
}
