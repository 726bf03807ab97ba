// SPDX-License-Identifier: Apache-2.0
//
// Public key slots: their encoding, and HKDF and AES-256-GCM over a shared secret.
#include "keymgr/public_key/slot.h"

#include <fmt/format.h>

#include <algorithm>

namespace ckptseal {
namespace {

constexpr std::string_view purpose = "ckpt-seal/v1/public-key";
constexpr std::size_t largest_label = 255;
// Those of a modulus of 2048 to 8192 bits.
constexpr std::size_t smallest_ciphertext = 256;
constexpr std::size_t largest_ciphertext = 1024;
constexpr std::uint8_t uncompressed = 0x04;  // SEC 1, section 2.3.3

bool printable(char c) { return c >= 0x20 && c <= 0x7e; }

void put_sized(ByteWriter& out, ByteView bytes) {
  out.u16(static_cast<std::uint16_t>(bytes.size())).bytes(bytes);
}

Bytes take_sized(ByteReader& in) {
  const ByteView bytes = in.view(in.u16());
  return {bytes.begin(), bytes.end()};
}

bool known(std::uint8_t algorithm) {
  return algorithm >= static_cast<std::uint8_t>(KeyAlgorithm::ecdh_p256) &&
         algorithm <= static_cast<std::uint8_t>(KeyAlgorithm::rsa_oaep);
}

bool known_source(std::uint8_t source) {
  return source >= static_cast<std::uint8_t>(KeySource::certificate) &&
         source <= static_cast<std::uint8_t>(KeySource::public_key);
}

// All of the body before the encrypted data key.
Bytes head_of(const PublicKeySlot& slot) {
  ByteWriter out;
  out.u8(static_cast<std::uint8_t>(slot.algorithm)).u8(static_cast<std::uint8_t>(slot.source));
  out.bytes(slot.key_id).bytes(slot.certificate);
  out.u8(static_cast<std::uint8_t>(slot.label.size())).bytes(as_bytes(slot.label));
  if (slot.algorithm != KeyAlgorithm::rsa_oaep) put_sized(out, slot.ephemeral);
  return out.take();
}

bool has_shared_secret(const PublicKeySlot& slot, const Secret& z) {
  return z.size() != 0 && z.size() == shared_secret_size(slot.algorithm);
}

// RFC 7748, section 6.1: a peer's point of small order gives this, whatever the private key is.
bool is_forced(const PublicKeySlot& slot, const Secret& z) {
  return slot.algorithm == KeyAlgorithm::x25519 && all_zero(z.view());
}

Result<Aead> cipher_for(const PublicKeySlot& slot, const Secret& z, const CheckpointId& id) {
  CKPTSEAL_ASSIGN(const Secret extracted, hkdf_extract(id, z.view()));
  ByteWriter info;
  info.bytes(as_bytes(purpose)).u8(static_cast<std::uint8_t>(slot.algorithm));
  info.bytes(slot.key_id).bytes(slot.ephemeral);
  CKPTSEAL_ASSIGN(const Secret key, hkdf_expand(extracted, info.view(), 32));
  return Aead::make(Cipher::aes_256_gcm, key);
}

Bytes associated_data(const PublicKeySlot& slot, const CheckpointId& id) {
  return ByteWriter().bytes(as_bytes(purpose)).bytes(id).bytes(head_of(slot)).take();
}

// Zero is right: the key comes from an ephemeral key of its own and encrypts this one message.
constexpr Nonce only_nonce{};

Error wrong_shared_secret() {
  return {Code::failed,
          "A key agreement gave a shared secret of a wrong length: use another token or key.", 0};
}

}  // namespace

std::size_t point_size(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ecdh_p256:
      return 65;
    case KeyAlgorithm::ecdh_p384:
      return 97;
    case KeyAlgorithm::x25519:
      return 32;
    case KeyAlgorithm::rsa_oaep:
      break;
  }
  return 0;
}

std::size_t shared_secret_size(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ecdh_p256:
    case KeyAlgorithm::x25519:
      return 32;
    case KeyAlgorithm::ecdh_p384:
      return 48;
    case KeyAlgorithm::rsa_oaep:
      break;
  }
  return 0;
}

Error damaged_public_key_slot(std::string_view what) {
  return {Code::integrity,
          fmt::format("A public key slot of this file {}: the file is damaged or altered, so use "
                      "another copy.",
                      what),
          0};
}

std::optional<KeyId> key_id_of(ByteView body) {
  ByteReader in(body);
  in.u16();  // algorithm and source
  const KeyId id = in.array<32>();
  if (!in.ok()) return std::nullopt;
  return id;
}

std::string label_of(std::string_view text) {
  std::string out(text.substr(0, largest_label));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return !printable(c); }, '?');
  return out;
}

bool is_label(std::string_view text) {
  return text.size() <= largest_label && std::all_of(text.begin(), text.end(), printable);
}

bool PublicKeySlot::has_point() const {
  return !ephemeral.empty() && ephemeral.size() == point_size(algorithm) &&
         (algorithm == KeyAlgorithm::x25519 || ephemeral[0] == uncompressed);
}

Bytes PublicKeySlot::serialize() const {
  ByteWriter out;
  out.bytes(head_of(*this));
  if (algorithm == KeyAlgorithm::rsa_oaep) {
    put_sized(out, rsa_ciphertext);
  } else {
    out.bytes(wrapped_key).bytes(tag);
  }
  return out.take();
}

Result<PublicKeySlot> PublicKeySlot::parse(ByteView body) {
  ByteReader in(body);
  const std::uint8_t algorithm = in.u8();
  const std::uint8_t source = in.u8();
  if (in.ok() && !known(algorithm)) {
    return Error{Code::no_slot,
                 fmt::format("A public key slot of this file has the algorithm {}, which needs a "
                             "newer ckpt-seal: update it.",
                             algorithm),
                 0};
  }
  PublicKeySlot out;
  out.key_id = in.array<32>();
  out.certificate = in.array<32>();
  out.label = as_text(in.view(in.u8()));
  if (!in.ok() || !known_source(source)) {
    return damaged_public_key_slot("is cut short or names its recipient in an unknown way");
  }
  out.algorithm = KeyAlgorithm{algorithm};
  out.source = KeySource{source};
  if (out.source != KeySource::certificate && !all_zero(out.certificate)) {
    return damaged_public_key_slot("names a certificate and says that it has none");
  }
  if (!is_label(out.label)) {
    return damaged_public_key_slot("has a label that cannot be printed");
  }
  if (out.algorithm == KeyAlgorithm::rsa_oaep) {
    out.rsa_ciphertext = take_sized(in);
    const std::size_t size = out.rsa_ciphertext.size();
    if (in.at_end() && size >= smallest_ciphertext && size <= largest_ciphertext) return out;
  } else {
    out.ephemeral = take_sized(in);
    out.wrapped_key = in.array<data_key_size>();
    out.tag = in.array<16>();
    if (in.at_end() && out.has_point()) return out;
  }
  return damaged_public_key_slot("has parts of a wrong length or form");
}

Status PublicKeySlot::encrypt(const Secret& z, const Secret& data_key, const CheckpointId& id) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  if (!has_shared_secret(*this, z)) return wrong_shared_secret();
  if (is_forced(*this, z)) {
    return Error{Code::integrity,
                 "The X25519 key of a recipient agrees on the same secret with everybody: it is "
                 "damaged or forged, so get the key again from its owner.",
                 0};
  }
  CKPTSEAL_ASSIGN(Aead aead, cipher_for(*this, z, id));
  CKPTSEAL_ASSIGN(Secret wrapped, Secret::copy_of(data_key.view()));
  CKPTSEAL_ASSIGN(tag,
                  aead.encrypt(only_nonce, associated_data(*this, id), wrapped.mutable_view()));
  std::copy(wrapped.view().begin(), wrapped.view().end(), wrapped_key.begin());
  return {};
}

Result<std::optional<Secret>> PublicKeySlot::decrypt(const Secret& z,
                                                     const CheckpointId& id) const {
  if (!has_shared_secret(*this, z)) return wrong_shared_secret();
  if (is_forced(*this, z)) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(Aead aead, cipher_for(*this, z, id));
  CKPTSEAL_ASSIGN(Secret data_key, Secret::copy_of(wrapped_key));
  CKPTSEAL_ASSIGN(const bool fits, aead.decrypt(only_nonce, associated_data(*this, id),
                                                data_key.mutable_view(), tag));
  if (!fits) return std::optional<Secret>();
  return std::optional<Secret>(std::move(data_key));
}

}  // namespace ckptseal
