// SPDX-License-Identifier: Apache-2.0
//
// The cryptographic functions that ckpt-seal calls: hashes, HKDF (RFC 5869), AEAD with detached
// tags (NIST SP 800-38D, RFC 8439), random bytes, and ECDSA P-256 verification. They are GnuTLS's,
// but for AES-256-GCM on x86-64, which is libipsec-mb's.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace ckptseal {

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  Sha256& update(ByteView bytes);
  Digest finish();  // and starts anew

  static Digest of(ByteView bytes) { return Sha256().update(bytes).finish(); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest hmac_sha256(ByteView key, ByteView message);

// RFC 5869 with SHA-256. `length` at most 8160 bytes.
Result<Secret> hkdf_extract(ByteView salt, ByteView input_key);
Result<Secret> hkdf_expand(const Secret& pseudorandom_key, ByteView info, std::size_t length);

enum class Cipher : std::uint8_t { aes_256_gcm, chacha20_poly1305 };

using Nonce = ByteArray<12>;
using Tag = ByteArray<16>;

// One key of one AEAD, both with 32-byte keys. Move-only; it holds the key schedule.
class Aead {
 public:
  static Result<Aead> make(Cipher cipher, const Secret& key);
  // The same by GnuTLS on every processor; for tests to hold one against the other.
  static Result<Aead> make_portable(Cipher cipher, const Secret& key);
  Aead(Aead&&) noexcept;
  Aead& operator=(Aead&&) noexcept;
  ~Aead();

  // In place; `nonce` never twice under one key.
  Result<Tag> encrypt(const Nonce& nonce, ByteView associated, MutableByteView data);
  // In place. false when the tag does not fit: `data` is then wiped.
  Result<bool> decrypt(const Nonce& nonce, ByteView associated, MutableByteView data,
                       const Tag& tag);

 private:
  class State;
  class GnutlsState;
  class IpsecMbState;
  explicit Aead(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

Status fill_random(MutableByteView out);
Result<Secret> random_secret(std::size_t size);
template <std::size_t N>
Result<ByteArray<N>> random_array() {
  ByteArray<N> out{};
  if (Status filled = fill_random(out); !filled.ok()) return std::move(filled).error();
  return out;
}

bool equal_constant_time(ByteView a, ByteView b);

struct EcPoint {  // on P-256, big-endian
  ByteArray<32> x{};
  ByteArray<32> y{};
  bool operator==(const EcPoint&) const = default;
};
using EcdsaSignature = ByteArray<64>;  // r || s, big-endian
// Signs a digest with a key on P-256, of a TPM, a token or a file.
using DigestSigner = std::function<Result<EcdsaSignature>(const Digest&)>;

// false when the point is not on the curve or the signature is not of this digest and key.
bool verify_p256(const EcPoint& key, const Digest& digest, const EcdsaSignature& signature);

}  // namespace ckptseal
