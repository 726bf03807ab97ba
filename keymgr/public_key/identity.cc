// SPDX-License-Identifier: Apache-2.0
//
// What is checked before and after the private key is used.
#include "keymgr/public_key/identity.h"

namespace ckptseal {
namespace {

// One sentence for every way in which a slot of the right key does not open.
Error does_not_decrypt() { return damaged_public_key_slot("is for this key and does not decrypt"); }

}  // namespace

Result<std::optional<Secret>> PublicKeyIdentity::unwrap(const SlotBody& slot,
                                                        const Checkpoint& of) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::public_key)) return std::optional<Secret>();
  // Whose it is comes first: another's slot may be of an algorithm that this version cannot read.
  if (key_id_of(slot.bytes) != key_.id()) return std::optional<Secret>();

  CKPTSEAL_ASSIGN(const PublicKeySlot parsed, PublicKeySlot::parse(slot.bytes));
  if (parsed.algorithm != key_.algorithm()) {
    return damaged_public_key_slot("is for this key and names an algorithm of another");
  }
  const bool rsa = parsed.algorithm == KeyAlgorithm::rsa_oaep;
  CKPTSEAL_ASSIGN(Secret data_key, rsa ? unwrap_rsa(parsed) : unwrap_agreement(parsed, of.id));
  return std::optional<Secret>(std::move(data_key));
}

Result<Secret> PublicKeyIdentity::unwrap_agreement(const PublicKeySlot& slot,
                                                   const CheckpointId& id) {
  // A token need not look, and a point of another curve draws the private key out of one.
  if (!PublicKey::from_point(slot.algorithm, slot.ephemeral, "An ephemeral key").ok()) {
    return damaged_public_key_slot("has an ephemeral key that is no point on its curve");
  }
  CKPTSEAL_ASSIGN(const std::optional<Secret> z, operation_->apply(slot.ephemeral));
  if (!z) return does_not_decrypt();
  CKPTSEAL_ASSIGN(std::optional<Secret> data_key, slot.decrypt(*z, id));
  if (!data_key) return does_not_decrypt();
  return std::move(*data_key);
}

Result<Secret> PublicKeyIdentity::unwrap_rsa(const PublicKeySlot& slot) {
  if (slot.rsa_ciphertext.size() != key_.modulus_size()) {
    return damaged_public_key_slot("has a ciphertext that is not as long as its key");
  }
  CKPTSEAL_ASSIGN(std::optional<Secret> data_key, operation_->apply(slot.rsa_ciphertext));
  if (!data_key || data_key->size() != data_key_size) return does_not_decrypt();
  return std::move(*data_key);
}

}  // namespace ckptseal
