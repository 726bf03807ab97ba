// SPDX-License-Identifier: Apache-2.0
//
// Opening public key slots. Where the private key is, in a file or in a token, is behind
// PrivateKeyOperation; everything else is done here, once for all of them.
#pragma once

#include <memory>
#include <optional>

#include "keymgr/public_key/public_key.h"
#include "keymgr/recipient.h"

namespace ckptseal {

// The one thing that needs the private key.
class PrivateKeyOperation {
 public:
  virtual ~PrivateKeyOperation() = default;
  // Key agreement: Z for `input`, an ephemeral public key as the slot has it; it is on the curve.
  // RSA: what RSA-OAEP with SHA-256, MGF1 with SHA-256 and an empty label makes of `input`, which
  // is as long as the modulus. nullopt when `input` has no such answer (for RSA without saying why:
  // RFC 8017, section 7.1.2), an error when nobody could be asked (Code::locked, unavailable).
  virtual Result<std::optional<Secret>> apply(ByteView input) = 0;
};

class PublicKeyIdentity : public Identity {
 public:
  PublicKeyIdentity(PublicKey key, std::unique_ptr<PrivateKeyOperation> operation)
      : key_(std::move(key)), operation_(std::move(operation)) {}

  // nullopt for another kind and another key's slot. Code::integrity for a slot of this key that is
  // damaged or does not decrypt; else what the operation fails with.
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

  const PublicKey& key() const { return key_; }

 private:
  Result<Secret> unwrap_agreement(const PublicKeySlot& slot, const CheckpointId& id);
  Result<Secret> unwrap_rsa(const PublicKeySlot& slot);

  PublicKey key_;
  std::unique_ptr<PrivateKeyOperation> operation_;
};

}  // namespace ckptseal
