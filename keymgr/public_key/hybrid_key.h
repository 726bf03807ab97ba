// SPDX-License-Identifier: Apache-2.0
//
// Keys of X25519 and ML-KEM-768 together, their files, and wrapping and unwrapping with them:
// docs/format.md, "Hybrid public key slot". ML-KEM is libcrypto's, which has it from OpenSSL 3.5
// on; with an older one files are read and slots told apart, and no more.
#pragma once

#include <optional>
#include <string>

#include "keymgr/public_key/hybrid_slot.h"
#include "keymgr/recipient.h"

namespace ckptseal {

inline constexpr std::string_view hybrid_public_label = "CKPT-SEAL HYBRID PUBLIC KEY";
inline constexpr std::string_view hybrid_private_label = "CKPT-SEAL HYBRID PRIVATE KEY";

bool has_ml_kem();
// The sentence that says what is missing, with this code, where there is none.
Status require_ml_kem(Code code);

class HybridPublicKey {
 public:
  // x || ek. Code::integrity when it has another length, and for an ek that FIPS 203, section 7.2,
  // refuses. `what` names the input in errors, for example "The public key x.pub".
  static Result<HybridPublicKey> from_bytes(ByteView bytes, const std::string& what);
  // The same in strict PEM.
  static Result<HybridPublicKey> from_file(ByteView pem, const std::string& what);

  const KeyId& id() const { return id_; }
  ByteView x25519() const;
  ByteView ml_kem() const;
  Result<std::string> pem() const;

 private:
  HybridPublicKey() = default;

  KeyId id_{};
  Bytes bytes_;
};

class HybridRecipient : public Recipient {
 public:
  // The label is made printable and cut.
  HybridRecipient(HybridPublicKey key, std::string label)
      : key_(std::move(key)), label_(std::move(label)) {}

  // Code::usage without ML-KEM; integrity for an X25519 half that agrees on the same secret with
  // everybody.
  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;
  bool owns(const SlotBody& slot) const override;

 private:
  HybridPublicKey key_;
  std::string label_;
};

class HybridIdentity : public Identity {
 public:
  // Code::usage without ML-KEM.
  static Result<HybridIdentity> generate();
  // Strict PEM. Code::integrity for anything else.
  static Result<HybridIdentity> from_file(const Secret& pem, const std::string& what);

  // nullopt for another kind and another key's slot. Code::integrity for a slot of this key that is
  // damaged or does not decrypt. Without ML-KEM no public key follows from a private one: then it
  // is Code::no_slot for each hybrid slot.
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

  // nullopt without ML-KEM.
  const std::optional<HybridPublicKey>& key() const { return key_; }
  Result<Secret> pem() const;

 private:
  HybridIdentity(Secret scalar, Secret seed) : scalar_(std::move(scalar)), seed_(std::move(seed)) {}
  static Result<HybridIdentity> make(Secret scalar, Secret seed);

  Secret scalar_;  // of X25519
  Secret seed_;    // of ML-KEM: d || z
  std::optional<HybridPublicKey> key_;
};

}  // namespace ckptseal
