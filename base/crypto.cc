// SPDX-License-Identifier: Apache-2.0
//
// Thin calls into GnuTLS. What cannot fail but for a broken library throws: it is a bug, not an
// input.
#include "base/crypto.h"

#include <fmt/format.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <stdexcept>

namespace ckptseal {
namespace {

void must(int code) {
  if (code < 0) throw std::runtime_error(gnutls_strerror(code));
}

Error gnutls_error(const char* what, int code) {
  return Error{Code::failed, fmt::format("{}: {}.", what, gnutls_strerror(code)),
               static_cast<std::uint32_t>(-code)};
}

gnutls_datum_t datum(ByteView bytes) {
  return {const_cast<unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

}  // namespace

struct Sha256::State {
  State() { must(gnutls_hash_init(&handle, GNUTLS_DIG_SHA256)); }
  ~State() { gnutls_hash_deinit(handle, nullptr); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  gnutls_hash_hd_t handle = nullptr;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Sha256& Sha256::update(ByteView bytes) {
  if (!bytes.empty()) must(gnutls_hash(state_->handle, bytes.data(), bytes.size()));
  return *this;
}

Digest Sha256::finish() {
  Digest out{};
  gnutls_hash_output(state_->handle, out.data());
  return out;
}

Digest hmac_sha256(ByteView key, ByteView message) {
  Digest out{};
  must(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.data(), key.size(), message.data(), message.size(),
                        out.data()));
  return out;
}

Result<Secret> hkdf_extract(ByteView salt, ByteView input_key) {
  CKPTSEAL_ASSIGN(Secret out, Secret::make(32));
  const gnutls_datum_t key = datum(input_key);
  const gnutls_datum_t salt_datum = datum(salt);
  must(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &key, &salt_datum, out.mutable_view().data()));
  return out;
}

Result<Secret> hkdf_expand(const Secret& pseudorandom_key, ByteView info, std::size_t length) {
  CKPTSEAL_ASSIGN(Secret out, Secret::make(length));
  const gnutls_datum_t key = datum(pseudorandom_key.view());
  const gnutls_datum_t info_datum = datum(info);
  must(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &key, &info_datum, out.mutable_view().data(), length));
  return out;
}

Status fill_random(MutableByteView out) {
  const int code = gnutls_rnd(GNUTLS_RND_KEY, out.data(), out.size());
  if (code < 0) return gnutls_error("Cannot get random bytes", code);
  return {};
}

Result<Secret> random_secret(std::size_t size) {
  CKPTSEAL_ASSIGN(Secret out, Secret::make(size));
  CKPTSEAL_TRY(fill_random(out.mutable_view()));
  return out;
}

bool equal_constant_time(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  return gnutls_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool verify_p256(const EcPoint& key, const Digest& digest, const EcdsaSignature& signature) {
  gnutls_pubkey_t handle = nullptr;
  must(gnutls_pubkey_init(&handle));
  const std::unique_ptr<gnutls_pubkey_st, void (*)(gnutls_pubkey_t)> owner(handle,
                                                                           gnutls_pubkey_deinit);
  const gnutls_datum_t x = datum(key.x);
  const gnutls_datum_t y = datum(key.y);
  if (gnutls_pubkey_import_ecc_raw(handle, GNUTLS_ECC_CURVE_SECP256R1, &x, &y) < 0) return false;
  const gnutls_datum_t r = datum(ByteView(signature).first(32));
  const gnutls_datum_t s = datum(ByteView(signature).last(32));
  gnutls_datum_t der = {nullptr, 0};
  if (gnutls_encode_rs_value(&der, &r, &s) < 0) return false;
  const std::unique_ptr<unsigned char, void (*)(void*)> der_owner(der.data, gnutls_free);
  const gnutls_datum_t hash = datum(digest);
  return gnutls_pubkey_verify_hash2(handle, GNUTLS_SIGN_ECDSA_SHA256, 0, &hash, &der) >= 0;
}

}  // namespace ckptseal
