// SPDX-License-Identifier: Apache-2.0
//
// The body of a slot for a public key, and how a shared secret wraps the data key in it:
// docs/format.md, "Public key slot". Nothing here knows where a key is kept.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "keymgr/recipient.h"

namespace ckptseal {

enum class KeyAlgorithm : std::uint8_t { ecdh_p256 = 1, ecdh_p384 = 2, x25519 = 3, rsa_oaep = 4 };

// What the recipient was named by.
enum class KeySource : std::uint8_t { certificate = 1, token = 2, public_key = 3 };

using KeyId = Digest;  // SHA-256 of a SubjectPublicKeyInfo in DER

// Of a public key as the slot has it: 04 || x || y, or the 32 bytes of X25519. 0 for RSA.
std::size_t point_size(KeyAlgorithm algorithm);
// Of Z. 0 for RSA.
std::size_t shared_secret_size(KeyAlgorithm algorithm);

// The body of a slot of SlotKind::public_key.
struct PublicKeySlot {
  KeyAlgorithm algorithm = KeyAlgorithm::ecdh_p256;
  KeySource source = KeySource::public_key;
  KeyId key_id{};
  Digest certificate{};  // zeros unless the source is a certificate
  std::string label;     // for people

  // Key agreement alone:
  Bytes ephemeral;
  ByteArray<data_key_size> wrapped_key{};
  Tag tag{};

  // RSA alone:
  Bytes rsa_ciphertext;

  // Not for RSA: `ephemeral` has the length and form of its algorithm.
  bool has_point() const;

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes, Code::no_slot for an algorithm that
  // this version does not know. Whether a point is on its curve is not looked at.
  static Result<PublicKeySlot> parse(ByteView body);

  // Not for RSA. Z is that of `ephemeral` and the recipient's key. encrypt() sets wrapped_key and
  // tag from all other fields; decrypt() has nullopt when they do not fit. Both refuse a Z of
  // X25519 that is all zero, decrypt() as one that does not fit.
  Status encrypt(const Secret& z, const Secret& data_key, const CheckpointId& id);
  Result<std::optional<Secret>> decrypt(const Secret& z, const CheckpointId& id) const;
};

// Whose slot it is, without reading anything else of it; nullopt for a body that is too short.
std::optional<KeyId> key_id_of(ByteView body);

// `text` as a label has to be: bytes outside 20..7e become '?', and what is behind 255 is cut.
std::string label_of(std::string_view text);
bool is_label(std::string_view text);  // what label_of() gives back as it is

// "A public key slot of this file WHAT: ..." with Code::integrity.
Error damaged_public_key_slot(std::string_view what);

}  // namespace ckptseal
