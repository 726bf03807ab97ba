// SPDX-License-Identifier: Apache-2.0
//
// The AEADs of base/crypto.h against Project Wycheproof, each implementation of them.
#include <stdexcept>

#include "base/crypto.h"
#include "wycheproof.h"

namespace ckptseal::test {
namespace {

using Maker = Result<Aead> (*)(Cipher cipher, const Secret& key);

template <std::size_t size>
ByteArray<size> array_of(ByteView bytes) {
  return ByteReader(bytes).array<size>();
}

bool encrypts(Aead& aead, const Vector& vector) {
  Bytes data = vector.bytes("msg");
  const Result<Tag> tag = aead.encrypt(array_of<12>(vector.bytes("iv")), vector.bytes("aad"), data);
  return tag.ok() && data == vector.bytes("ct") && same_bytes(tag.value(), vector.bytes("tag"));
}

Outcome decrypt(Aead& aead, const Vector& vector) {
  Bytes data = vector.bytes("ct");
  const Result<bool> fits = aead.decrypt(array_of<12>(vector.bytes("iv")), vector.bytes("aad"),
                                         data, array_of<16>(vector.bytes("tag")));
  if (!fits.ok()) throw std::runtime_error(fits.error().message);
  if (!fits.value()) return all_zero(data) ? Outcome::refused : Outcome::wrong;
  return data == vector.bytes("msg") ? Outcome::right : Outcome::wrong;
}

Outcome try_aead(Maker make, Cipher cipher, const Vector& vector) {
  Result<Aead> aead = make(cipher, Secret::copy_of(vector.bytes("key")).value());
  if (vector.bytes("key").size() != 32) return aead.ok() ? Outcome::wrong : Outcome::not_ours;
  if (!aead.ok()) throw std::runtime_error(aead.error().message);
  const bool sizes =
      vector.bytes("iv").size() == sizeof(Nonce) && vector.bytes("tag").size() == sizeof(Tag);
  if (!sizes) return Outcome::not_ours;
  const Outcome outcome = decrypt(aead.value(), vector);
  if (outcome == Outcome::right && !encrypts(aead.value(), vector)) return Outcome::wrong;
  return outcome;
}

TEST_F(Wycheproof, Aes256Gcm) {
  for (const auto& [name, make] :
       {std::pair{"Aead::make()", &Aead::make}, {"Aead::make_portable()", &Aead::make_portable}}) {
    run("aes_gcm", name, [make = make](const Vector& vector) {
      return try_aead(make, Cipher::aes_256_gcm, vector);
    });
  }
}

TEST_F(Wycheproof, ChaCha20Poly1305) {
  run("chacha20_poly1305", "Aead::make()",
      [](const Vector& vector) { return try_aead(Aead::make, Cipher::chacha20_poly1305, vector); });
}

}  // namespace
}  // namespace ckptseal::test
