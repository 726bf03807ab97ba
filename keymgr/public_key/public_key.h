// SPDX-License-Identifier: Apache-2.0
//
// Whose public key can receive a data key, and wrapping for it. docs/format.md, "Public key slot".
#pragma once

#include <string>

#include "keymgr/public_key/slot.h"

namespace ckptseal {

// A key that a slot can be made for. `what` names the input in errors, for example "The public key
// x.pem".
class PublicKey {
 public:
  // Of a SubjectPublicKeyInfo (RFC 5280) in DER. Code::integrity when it is none, usage when its
  // key is none of the allowed.
  static Result<PublicKey> from_spki(ByteView der, const std::string& what);
  // The same in a file: DER, or PEM ("PUBLIC KEY").
  static Result<PublicKey> from_file(ByteView content, const std::string& what);
  // Of a point as slots have it, not for RSA. Code::integrity when it is not on its curve.
  static Result<PublicKey> from_point(KeyAlgorithm algorithm, ByteView point,
                                      const std::string& what);
  // Of two numbers, big-endian, as tokens give them out (PKCS #11: CKA_MODULUS,
  // CKA_PUBLIC_EXPONENT).
  static Result<PublicKey> from_rsa(ByteView modulus, ByteView exponent, const std::string& what);

  KeyAlgorithm algorithm() const { return algorithm_; }
  const KeyId& id() const { return id_; }
  ByteView spki() const { return spki_; }
  // In bytes, which is also the length of a ciphertext; 0 for any but RSA.
  std::size_t modulus_size() const { return modulus_size_; }

 private:
  PublicKey() = default;

  KeyAlgorithm algorithm_ = KeyAlgorithm::ecdh_p256;
  KeyId id_{};
  Bytes spki_;
  std::size_t modulus_size_ = 0;
};

// How the recipient was named; it stands in the slot, for people.
struct RecipientName {
  KeySource source = KeySource::public_key;
  Digest certificate{};  // its SHA-256, zeros unless that is the source
  std::string label;     // is made printable and cut
};

class PublicKeyRecipient : public Recipient {
 public:
  PublicKeyRecipient(PublicKey key, RecipientName name)
      : key_(std::move(key)), name_(std::move(name)) {}

  // Code::integrity for a key of X25519 that agrees on the same secret with everybody.
  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;
  bool owns(const SlotBody& slot) const override;

 private:
  Status agree_and_encrypt(PublicKeySlot& slot, const Secret& data_key, const CheckpointId& id);
  Status encrypt_oaep(PublicKeySlot& slot, const Secret& data_key);

  PublicKey key_;
  RecipientName name_;
};

}  // namespace ckptseal
