// SPDX-License-Identifier: Apache-2.0
//
// The operations of OpenSSL that more than one file of this folder needs.
#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <mutex>

#include "keymgr/public_key/openssl_internal.h"
#include "keymgr/public_key/openssl_memory.h"

namespace ckptseal {
namespace {

void free_openssl(unsigned char* bytes) { OPENSSL_free(bytes); }

}  // namespace

void prepare_openssl() {
  static std::once_flag once;
  std::call_once(once, [] {
    wipe_what_openssl_frees();
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  });
}

std::uint32_t take_openssl_code() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  return static_cast<std::uint32_t>(code);
}

Error openssl_error(std::string_view sentence) {
  const std::uint32_t code = take_openssl_code();
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return {Code::failed, fmt::format("{}: {}; try again.", sentence, text.data()), code};
}

OwnedKey load_public_key(ByteView spki) {
  prepare_openssl();
  const unsigned char* at = spki.data();
  OwnedKey key(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
  ERR_clear_error();
  if (key == nullptr || at != spki.data() + spki.size()) return nullptr;
  return key;
}

OwnedKey make_public_key(const char* type, OSSL_PARAM_BLD* parts) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(parts));
  const OwnedKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  const bool made =
      parameters != nullptr && context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  return OwnedKey(made ? key : nullptr);
}

OwnedKey load_point(KeyAlgorithm algorithm, ByteView point) {
  prepare_openssl();
  const bool x25519 = algorithm == KeyAlgorithm::x25519;
  const std::string_view curve = algorithm == KeyAlgorithm::ecdh_p256 ? "P-256" : "P-384";
  const OwnedBuilder parts(OSSL_PARAM_BLD_new());
  if (parts == nullptr || OSSL_PARAM_BLD_push_octet_string(parts.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                                           point.data(), point.size()) != 1) {
    return nullptr;
  }
  if (!x25519 && OSSL_PARAM_BLD_push_utf8_string(parts.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                                 curve.data(), curve.size()) != 1) {
    return nullptr;
  }
  return make_public_key(x25519 ? "X25519" : "EC", parts.get());
}

Bytes point_of(EVP_PKEY* key) {
  unsigned char* point = nullptr;
  const std::size_t size = EVP_PKEY_get1_encoded_public_key(key, &point);
  const Owned<unsigned char, free_openssl> owner(point);
  ERR_clear_error();
  return size == 0 ? Bytes() : Bytes(point, point + size);
}

Bytes spki_of(const EVP_PKEY* key) {
  const int size = i2d_PUBKEY(key, nullptr);
  Bytes out(size > 0 ? static_cast<std::size_t>(size) : 0);
  unsigned char* at = out.data();
  if (size <= 0 || i2d_PUBKEY(key, &at) != size) out.clear();
  ERR_clear_error();
  return out;
}

OwnedKeyContext context_of(EVP_PKEY* key) {
  prepare_openssl();
  return OwnedKeyContext(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
}

Result<std::optional<Secret>> agree(EVP_PKEY* own, EVP_PKEY* peer, KeyAlgorithm algorithm) {
  const OwnedKeyContext context = context_of(own);
  if (context == nullptr || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), peer) != 1) {
    return openssl_error("Cannot prepare a key agreement");
  }
  CKPTSEAL_ASSIGN(Secret z, Secret::make(shared_secret_size(algorithm)));
  std::size_t size = z.size();
  const bool agreed = EVP_PKEY_derive(context.get(), z.mutable_view().data(), &size) == 1;
  wipe_stack_below();
  if (!agreed) {
    if (algorithm != KeyAlgorithm::x25519) return openssl_error("Cannot do a key agreement");
    ERR_clear_error();
    return std::optional<Secret>();
  }
  if (size != z.size()) return openssl_error("A key agreement gave a secret of a wrong length");
  return std::optional<Secret>(std::move(z));
}

bool choose_oaep(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

}  // namespace ckptseal
