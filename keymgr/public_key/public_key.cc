// SPDX-License-Identifier: Apache-2.0
//
// Public keys by comparison with the one DER that each kind has, and wrapping by OpenSSL.
#include "keymgr/public_key/public_key.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>

#include "base/pem.h"
#include "keymgr/public_key/openssl_internal.h"

namespace ckptseal {
namespace {

using OwnedNumber = Owned<BIGNUM, BN_free>;

constexpr int smallest_modulus_bits = 2048;
constexpr int largest_modulus_bits = 8192;
constexpr std::size_t largest_spki = 8192;

// All of a SubjectPublicKeyInfo that stands before the point. In DER there is one for each curve:
// it says id-ecPublicKey with the named curve (RFC 5480), or id-X25519 (RFC 8410), and how long the
// point is. So explicit curves and compressed points are other bytes.
constexpr std::array<std::uint8_t, 26> p256_prefix = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
constexpr std::array<std::uint8_t, 23> p384_prefix = {
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00};
constexpr std::array<std::uint8_t, 12> x25519_prefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                        0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00};
constexpr std::array agreements = {KeyAlgorithm::ecdh_p256, KeyAlgorithm::ecdh_p384,
                                   KeyAlgorithm::x25519};

ByteView prefix_of(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ecdh_p256:
      return p256_prefix;
    case KeyAlgorithm::ecdh_p384:
      return p384_prefix;
    case KeyAlgorithm::x25519:
      return x25519_prefix;
    case KeyAlgorithm::rsa_oaep:
      break;
  }
  return {};
}

// nullopt for what is RSA or not allowed.
std::optional<KeyAlgorithm> agreement_of(ByteView spki) {
  for (const KeyAlgorithm algorithm : agreements) {
    const ByteView prefix = prefix_of(algorithm);
    if (spki.size() != prefix.size() + point_size(algorithm)) continue;
    if (!same_bytes(spki.first(prefix.size()), prefix)) continue;
    const bool compact = algorithm == KeyAlgorithm::x25519;
    if (compact || spki[prefix.size()] == 0x04) return algorithm;
  }
  return std::nullopt;
}

// Of what agreement_of() has found.
ByteView point_in(ByteView spki, KeyAlgorithm algorithm) {
  return spki.last(point_size(algorithm));
}

Error unreadable(const std::string& what) {
  return {
      Code::integrity,
      fmt::format("{} holds no public key that is sound: it is damaged or another kind of file, "
                  "so get it again from its owner.",
                  what),
      take_openssl_code()};
}

Error not_allowed(const std::string& what, const EVP_PKEY* key) {
  const char* kind = EVP_PKEY_get0_type_name(key);
  return {Code::usage,
          fmt::format("{} has a key of a kind ({}, {} bits) that nothing is sealed for: use one on "
                      "NIST P-256 or P-384 with a named curve and an uncompressed point, one of "
                      "X25519, or one of RSA (rsaEncryption) with 2048 to 8192 bits.",
                      what, kind == nullptr ? "unknown" : kind, EVP_PKEY_get_bits(key)),
          0};
}

bool passes_check(EVP_PKEY* key) {
  const OwnedKeyContext context = context_of(key);
  const bool sound = context != nullptr && EVP_PKEY_public_check(context.get()) == 1;
  ERR_clear_error();
  return sound;
}

OwnedNumber number_of(ByteView big_endian) {
  return OwnedNumber(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
}

OwnedKey make_rsa(ByteView modulus, ByteView exponent) {
  prepare_openssl();
  const OwnedNumber n = number_of(modulus);
  const OwnedNumber e = number_of(exponent);
  const OwnedBuilder builder(OSSL_PARAM_BLD_new());
  if (n == nullptr || e == nullptr || builder == nullptr ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  return make_public_key("RSA", builder.get());
}

OwnedKey make_ephemeral(KeyAlgorithm algorithm) {
  prepare_openssl();
  if (algorithm == KeyAlgorithm::x25519) {
    return OwnedKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  }
  const char* curve = algorithm == KeyAlgorithm::ecdh_p256 ? "P-256" : "P-384";
  return OwnedKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve));
}

}  // namespace

Result<PublicKey> PublicKey::from_spki(ByteView der, const std::string& what) {
  if (der.size() > largest_spki) return unreadable(what);
  const std::optional<KeyAlgorithm> agreement = agreement_of(der);
  const OwnedKey key =
      agreement ? load_point(*agreement, point_in(der, *agreement)) : load_public_key(der);
  if (key == nullptr) return unreadable(what);
  PublicKey out;
  out.spki_.assign(der.begin(), der.end());
  out.id_ = Sha256::of(der);
  if (agreement) {
    out.algorithm_ = *agreement;
  } else {
    const int bits = EVP_PKEY_get_bits(key.get());
    if (EVP_PKEY_is_a(key.get(), "RSA") != 1 || bits < smallest_modulus_bits ||
        bits > largest_modulus_bits) {
      return not_allowed(what, key.get());
    }
    // The key id is of the one form in DER.
    if (spki_of(key.get()) != out.spki_) return unreadable(what);
    out.algorithm_ = KeyAlgorithm::rsa_oaep;
    out.modulus_size_ = static_cast<std::size_t>(EVP_PKEY_get_size(key.get()));
  }
  if (!passes_check(key.get())) return unreadable(what);
  return out;
}

Result<PublicKey> PublicKey::from_file(ByteView content, const std::string& what) {
  if (!as_text(content).starts_with("-----BEGIN ")) return from_spki(content, what);
  CKPTSEAL_ASSIGN(const Bytes der, pem_decode("PUBLIC KEY", content, what));
  return from_spki(der, what);
}

Result<PublicKey> PublicKey::from_point(KeyAlgorithm algorithm, ByteView point,
                                        const std::string& what) {
  if (point.empty() || point.size() != point_size(algorithm)) return unreadable(what);
  return from_spki(ByteWriter().bytes(prefix_of(algorithm)).bytes(point).view(), what);
}

Result<PublicKey> PublicKey::from_rsa(ByteView modulus, ByteView exponent,
                                      const std::string& what) {
  if (modulus.size() > largest_spki || exponent.size() > largest_spki) return unreadable(what);
  const OwnedKey key = make_rsa(modulus, exponent);
  if (key == nullptr) return unreadable(what);
  return from_spki(spki_of(key.get()), what);
}

bool PublicKeyRecipient::owns(const SlotBody& slot) const {
  return slot.kind == static_cast<std::uint16_t>(SlotKind::public_key) &&
         key_id_of(slot.bytes) == key_.id();
}

Result<SlotBody> PublicKeyRecipient::wrap(const Secret& data_key, const Checkpoint& of) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  PublicKeySlot slot;
  slot.algorithm = key_.algorithm();
  slot.source = name_.source;
  slot.key_id = key_.id();
  if (name_.source == KeySource::certificate) slot.certificate = name_.certificate;
  slot.label = label_of(name_.label);
  if (slot.algorithm == KeyAlgorithm::rsa_oaep) {
    CKPTSEAL_TRY(encrypt_oaep(slot, data_key));
  } else {
    CKPTSEAL_TRY(agree_and_encrypt(slot, data_key, of.id));
  }
  return SlotBody{static_cast<std::uint16_t>(SlotKind::public_key), slot.serialize()};
}

Status PublicKeyRecipient::agree_and_encrypt(PublicKeySlot& slot, const Secret& data_key,
                                             const CheckpointId& id) {
  const OwnedKey ephemeral = make_ephemeral(slot.algorithm);
  if (ephemeral == nullptr) return openssl_error("Cannot make an ephemeral key");
  const OwnedKey recipient = load_point(slot.algorithm, point_in(key_.spki(), slot.algorithm));
  if (recipient == nullptr) return openssl_error("Cannot load the key of a recipient");
  slot.ephemeral = point_of(ephemeral.get());
  if (!slot.has_point()) return openssl_error("An ephemeral key has an unexpected form");
  CKPTSEAL_ASSIGN(std::optional<Secret> z, agree(ephemeral.get(), recipient.get(), slot.algorithm));
  if (!z) {  // encrypt() says what an all-zero one is
    CKPTSEAL_ASSIGN(z, Secret::make(shared_secret_size(slot.algorithm)));
  }
  return slot.encrypt(*z, data_key, id);
}

Status PublicKeyRecipient::encrypt_oaep(PublicKeySlot& slot, const Secret& data_key) {
  const OwnedKey recipient = load_public_key(key_.spki());
  const OwnedKeyContext context = recipient == nullptr ? nullptr : context_of(recipient.get());
  if (context == nullptr || EVP_PKEY_encrypt_init(context.get()) != 1 ||
      !choose_oaep(context.get())) {
    return openssl_error("Cannot prepare RSA-OAEP");
  }
  slot.rsa_ciphertext.resize(key_.modulus_size());
  std::size_t size = slot.rsa_ciphertext.size();
  const ByteView in = data_key.view();
  if (EVP_PKEY_encrypt(context.get(), slot.rsa_ciphertext.data(), &size, in.data(), in.size()) !=
          1 ||
      size != key_.modulus_size()) {
    return openssl_error("Cannot encrypt with RSA-OAEP");
  }
  return {};
}

}  // namespace ckptseal
