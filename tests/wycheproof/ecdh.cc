// SPDX-License-Identifier: Apache-2.0
//
// Key agreements against Project Wycheproof: that of TPM slots, and those of public key slots.
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "base/pem.h"
#include "key_files.h"
#include "keymgr/public_key/public_key.h"
#include "keymgr/tpm2/ecdh_p256.h"
#include "wycheproof.h"

namespace ckptseal::test {
namespace {

// All that stands before an uncompressed point on P-256 in DER.
constexpr std::string_view p256_prefix = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

// PKCS#8 in DER up to the number, without the public key.
std::string_view private_prefix(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ecdh_p256:
      return "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420";
    case KeyAlgorithm::ecdh_p384:
      return "304e020100301006072a8648ce3d020106052b81040022043730350201010430";
    case KeyAlgorithm::x25519:
      return "302e020100300506032b656e04220420";
    case KeyAlgorithm::rsa_oaep:
      break;
  }
  throw std::runtime_error("RSA has no key agreement");
}

// In the vectors a number may have a zero in front, or be shorter.
Bytes fixed_number(ByteView number, std::size_t size) {
  while (number.size() > size && number.front() == 0) number = number.subspan(1);
  if (number.size() > size) throw std::runtime_error("a private key is too large");
  return ByteWriter().zeros(size - number.size()).bytes(number).take();
}

Bytes private_key_of(KeyAlgorithm algorithm, const Vector& vector) {
  const std::size_t size = shared_secret_size(algorithm);
  return ByteWriter()
      .bytes(*from_hex(private_prefix(algorithm)))
      .bytes(fixed_number(vector.bytes("private"), size))
      .take();
}

// nullopt for a point of another form or length.
std::optional<EcPoint> p256_point(ByteView encoded) {
  const Bytes prefix = *from_hex(p256_prefix);
  ByteReader in(encoded);
  if (encoded.size() == prefix.size() + 65 && !same_bytes(in.view(prefix.size()), prefix)) {
    return std::nullopt;
  }
  const bool uncompressed = in.u8() == 0x04;
  const EcPoint out{in.array<32>(), in.array<32>()};
  if (!uncompressed || !in.at_end()) return std::nullopt;
  return out;
}

Outcome tpm_agreement(const Vector& vector) {
  const std::optional<EcPoint> peer = p256_point(vector.bytes("public"));
  if (!peer) return Outcome::not_ours;
  const Secret scalar = Secret::copy_of(fixed_number(vector.bytes("private"), 32)).value();
  const Result<Secret> x = p256_shared_x(scalar, *peer);
  if (!x.ok()) return x.error().code == Code::integrity ? Outcome::refused : Outcome::wrong;
  return same_bytes(x.value().view(), vector.bytes("shared")) ? Outcome::right : Outcome::wrong;
}

struct Agreement {
  KeyAlgorithm algorithm;
  Bytes key_file;
  Bytes pkcs8;
  Bytes input;  // as the vector has the public key
  Result<PublicKey> peer;
  Bytes shared;
};

// As PrivateKeyOperation has it.
std::optional<Secret> shared_secret(const Agreement& of, ByteView point) {
  const OwnedKey own = load_private_key(of.pkcs8);
  const OwnedKey peer = load_point(of.algorithm, point);
  if (peer == nullptr) throw std::runtime_error("a point is sound and cannot be loaded");
  return agree(own.get(), peer.get(), of.algorithm).value();
}

PublicKeySlot slot_for(const PublicKeyIdentity& identity, ByteView point) {
  PublicKeySlot slot;
  slot.algorithm = identity.key().algorithm();
  slot.key_id = identity.key().id();
  slot.ephemeral.assign(point.begin(), point.end());
  return slot;
}

// Whether the key file opens a slot that was made with this secret.
bool opens(PublicKeyIdentity& identity, ByteView point, ByteView secret) {
  PublicKeySlot slot = slot_for(identity, point);
  const Secret data_key = random_secret(data_key_size).value();
  // An all-zero one is not taken; then the slot holds nothing.
  (void)slot.encrypt(Secret::copy_of(secret).value(), data_key, some_checkpoint.id);
  const std::optional<Secret> opened = open_slot(identity, slot);
  return opened && equal_constant_time(opened->view(), data_key.view());
}

// A token that may not look at points itself, so it must not see this one.
class NeverAsked : public PrivateKeyOperation {
 public:
  Result<std::optional<Secret>> apply(ByteView /*input*/) override {
    throw std::logic_error("a private key is used on what is no public key");
  }
};

Outcome refuse_as_ephemeral(const PublicKey& own, ByteView input) {
  PublicKeyIdentity token(own, std::make_unique<NeverAsked>());
  return open_slot(token, slot_for(token, input)) ? Outcome::wrong : Outcome::refused;
}

Outcome public_key_agreement(const Agreement& of) {
  std::optional<PublicKeyIdentity> identity = identity_of(of.key_file);
  if (!identity) return Outcome::refused;
  if (!of.peer.ok()) return refuse_as_ephemeral(identity->key(), of.input);
  const PublicKey& peer = of.peer.value();
  // A slot says one algorithm for both.
  if (peer.algorithm() != of.algorithm) return Outcome::refused;
  const ByteView point = peer.spki().last(point_size(of.algorithm));
  const std::optional<Secret> z = shared_secret(of, point);
  if (!z) return opens(*identity, point, of.shared) ? Outcome::wrong : Outcome::refused;
  Bytes other = of.shared;
  if (!same_bytes(z->view(), other) || !opens(*identity, point, other)) return Outcome::wrong;
  other.back() ^= 1;
  return opens(*identity, point, other) ? Outcome::wrong : Outcome::right;
}

// The public key is a point, and the private key a number.
Outcome agree_on_point(KeyAlgorithm algorithm, const Vector& vector) {
  const Bytes key = private_key_of(algorithm, vector);
  return public_key_agreement({algorithm, key, key, vector.bytes("public"),
                               PublicKey::from_point(algorithm, vector.bytes("public"), "The key"),
                               vector.bytes("shared")});
}

// The public key is DER, and so is the private key of X25519.
Outcome agree_on_spki(KeyAlgorithm algorithm, const Vector& vector) {
  const Bytes key = algorithm == KeyAlgorithm::x25519 ? vector.bytes("private")
                                                      : private_key_of(algorithm, vector);
  return public_key_agreement({algorithm, key, key, vector.bytes("public"),
                               PublicKey::from_spki(vector.bytes("public"), "The key"),
                               vector.bytes("shared")});
}

Outcome agree_on_pem(KeyAlgorithm algorithm, const Vector& vector) {
  const std::string own = vector.text("private");
  const ByteView own_bytes = as_bytes(own);
  const std::string peer = vector.text("public");
  const ByteView peer_bytes = as_bytes(peer);
  return public_key_agreement({algorithm, Bytes(own_bytes.begin(), own_bytes.end()),
                               pem_decode("PRIVATE KEY", own_bytes, "The key file").value(),
                               Bytes(peer_bytes.begin(), peer_bytes.end()),
                               PublicKey::from_file(peer_bytes, "The key"),
                               vector.bytes("shared")});
}

// RFC 7748 leaves open whether an all-zero secret is refused; docs/format.md says that it is.
bool is_not_forced(const Vector& vector) { return !vector.has_flag("ZeroSharedSecret"); }

// Nothing is wrapped for a key that forces the secret.
Outcome wrap(const Vector& vector) {
  Result<PublicKey> key =
      PublicKey::from_point(KeyAlgorithm::x25519, vector.bytes("public"), "The key");
  if (!key.ok()) return Outcome::refused;
  PublicKeyRecipient recipient(std::move(key).value(), {});
  const auto wrapped = recipient.wrap(random_secret(data_key_size).value(), some_checkpoint);
  if (!wrapped.ok() && wrapped.error().code != Code::integrity) return Outcome::wrong;
  return wrapped.ok() ? Outcome::right : Outcome::refused;
}

auto with(KeyAlgorithm algorithm, Outcome (*agreement)(KeyAlgorithm, const Vector&)) {
  return [=](const Vector& vector) { return agreement(algorithm, vector); };
}

TEST_F(Wycheproof, EcdhOfTpmSlots) {
  run("ecdh_secp256r1_ecpoint", "p256_shared_x()", tpm_agreement);
  run("ecdh_secp256r1", "p256_shared_x()", tpm_agreement);
}

// What is acceptable here is another encoding of a key: a parser accepts one.
TEST_F(Wycheproof, EcdhOfPublicKeySlots) {
  for (const auto& [curve, algorithm] :
       {std::pair{"secp256r1", KeyAlgorithm::ecdh_p256}, {"secp384r1", KeyAlgorithm::ecdh_p384}}) {
    run(fmt::format("ecdh_{}_ecpoint", curve), "from_point()", with(algorithm, agree_on_point));
    run(fmt::format("ecdh_{}", curve), "from_spki()", with(algorithm, agree_on_spki));
    run(fmt::format("ecdh_{}_pem", curve), "from_file()", with(algorithm, agree_on_pem));
  }
}

TEST_F(Wycheproof, X25519) {
  constexpr KeyAlgorithm x25519 = KeyAlgorithm::x25519;
  run("x25519", "from_point()", with(x25519, agree_on_point), is_not_forced);
  run("x25519_asn", "from_spki()", with(x25519, agree_on_spki), is_not_forced);
  run("x25519_pem", "from_file()", with(x25519, agree_on_pem), is_not_forced);
  run("x25519", "wrap()", wrap, is_not_forced);
}

}  // namespace
}  // namespace ckptseal::test
