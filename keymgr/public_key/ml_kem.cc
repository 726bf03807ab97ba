// SPDX-License-Identifier: Apache-2.0
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include <array>

#include "keymgr/public_key/hybrid_key.h"
#include "keymgr/public_key/ml_kem_internal.h"
#include "keymgr/public_key/openssl_memory.h"

namespace ckptseal {
namespace {

constexpr const char* algorithm_name = "ML-KEM-768";
constexpr const char* seed_name = "seed";  // OSSL_PKEY_PARAM_ML_KEM_SEED, since OpenSSL 3.5
constexpr std::size_t shared_size = 32;

OwnedKeyContext context_of_algorithm() {
  prepare_openssl();
  return OwnedKeyContext(EVP_PKEY_CTX_new_from_name(nullptr, algorithm_name, nullptr));
}

// Null when OpenSSL does not take it. The bytes are read where they are.
OwnedKey load(int selection, const char* part, ByteView bytes) {
  const OwnedKeyContext context = context_of_algorithm();
  // Only read, though its type lacks the const.
  auto* data = const_cast<std::uint8_t*>(bytes.data());  // NOLINT(*-const-cast)
  std::array<OSSL_PARAM, 2> parts = {OSSL_PARAM_construct_octet_string(part, data, bytes.size()),
                                     OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  const bool made = context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                    EVP_PKEY_fromdata(context.get(), &key, selection, parts.data()) == 1;
  wipe_stack_below();
  return OwnedKey(made ? key : nullptr);
}

OwnedKey load_seed(const Secret& seed) { return load(EVP_PKEY_KEYPAIR, seed_name, seed.view()); }

}  // namespace

bool has_ml_kem() {
  const bool found = context_of_algorithm() != nullptr;
  ERR_clear_error();
  return found;
}

// Its first part is 768 numbers of 12 bits, two in three bytes (ByteEncode of FIPS 203).
bool is_encapsulation_key(ByteView key) {
  constexpr std::size_t numbers = 1152;
  constexpr unsigned q = 3329;
  if (key.size() != kem_public_size) return false;
  for (std::size_t at = 0; at < numbers; at += 3) {
    const unsigned three = key[at] | unsigned{key[at + 1]} << 8 | unsigned{key[at + 2]} << 16;
    if ((three & 0xfff) >= q || three >> 12 >= q) return false;
  }
  return true;
}

Result<Bytes> encapsulation_key_of(const Secret& seed) {
  const OwnedKey key = load_seed(seed);
  Bytes out(kem_public_size);
  std::size_t size = 0;
  if (key == nullptr ||
      EVP_PKEY_get_octet_string_param(key.get(), OSSL_PKEY_PARAM_PUB_KEY, out.data(), out.size(),
                                      &size) != 1 ||
      size != out.size()) {
    return openssl_error("Cannot make a key of ML-KEM from its seed");
  }
  return out;
}

Result<Encapsulated> encapsulate(ByteView key) {
  const OwnedKey recipient = load(EVP_PKEY_PUBLIC_KEY, OSSL_PKEY_PARAM_PUB_KEY, key);
  const OwnedKeyContext context = recipient == nullptr ? nullptr : context_of(recipient.get());
  if (context == nullptr || EVP_PKEY_encapsulate_init(context.get(), nullptr) != 1) {
    return openssl_error("Cannot load the ML-KEM key of a recipient");
  }
  CKPTSEAL_ASSIGN(Secret shared, Secret::make(shared_size));
  Bytes ciphertext(kem_ciphertext_size);
  std::size_t ciphertext_size = ciphertext.size();
  std::size_t size = shared.size();
  const bool done = EVP_PKEY_encapsulate(context.get(), ciphertext.data(), &ciphertext_size,
                                         shared.mutable_view().data(), &size) == 1;
  wipe_stack_below();
  if (!done || size != shared.size() || ciphertext_size != ciphertext.size()) {
    return openssl_error("Cannot encapsulate with ML-KEM");
  }
  return Encapsulated{std::move(shared), std::move(ciphertext)};
}

Result<Secret> decapsulate(const Secret& seed, ByteView ciphertext) {
  const OwnedKey key = load_seed(seed);
  const OwnedKeyContext context = key == nullptr ? nullptr : context_of(key.get());
  if (context == nullptr || EVP_PKEY_decapsulate_init(context.get(), nullptr) != 1) {
    return openssl_error("Cannot load a private key of ML-KEM");
  }
  CKPTSEAL_ASSIGN(Secret shared, Secret::make(shared_size));
  std::size_t size = shared.size();
  const bool done = EVP_PKEY_decapsulate(context.get(), shared.mutable_view().data(), &size,
                                         ciphertext.data(), ciphertext.size()) == 1;
  wipe_stack_below();
  if (!done || size != shared.size()) return openssl_error("Cannot decapsulate with ML-KEM");
  return shared;
}

}  // namespace ckptseal
