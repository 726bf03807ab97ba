// SPDX-License-Identifier: Apache-2.0
//
// The two halves of a hybrid key by OpenSSL, and what is made of them.
#include "keymgr/public_key/hybrid_key.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>

#include "base/pem.h"
#include "keymgr/public_key/ml_kem_internal.h"
#include "keymgr/public_key/openssl_memory.h"
#include "keymgr/public_key/secret_pem.h"

namespace ckptseal {
namespace {

constexpr std::size_t point_bytes = 32;
constexpr std::size_t scalar_bytes = 32;

KeyId key_id_of_hybrid(ByteView bytes) {
  return Sha256().update(as_bytes("ckpt-seal/v1/hybrid-key")).update(bytes).finish();
}

Error unreadable_public(const std::string& what) {
  return {Code::integrity,
          fmt::format("{} holds no post-quantum public key that is sound: it is damaged or another "
                      "kind of file, so get it again from its owner.",
                      what),
          0};
}

Error unreadable_private(const std::string& what) {
  return {Code::integrity,
          fmt::format("{} is not one PEM block \"{}\" with nothing around it and a key in it: it "
                      "is cut or altered, so use another copy.",
                      what, hybrid_private_label),
          0};
}

// One sentence for every way in which a slot of the right key does not open.
Error does_not_decrypt() { return damaged_hybrid_slot("is for this key and does not decrypt"); }

OwnedKey load_scalar(const Secret& scalar) {
  prepare_openssl();
  OwnedKey key(EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, scalar.view().data(),
                                               scalar.size()));
  wipe_stack_below();
  ERR_clear_error();
  return key;
}

// Z, all zero where the peer's key forces that: HybridSlot refuses it.
Result<Secret> agreed_secret(EVP_PKEY* own, ByteView peer) {
  const OwnedKey other = load_point(KeyAlgorithm::x25519, peer);
  if (own == nullptr || other == nullptr) return openssl_error("Cannot load a key of X25519");
  CKPTSEAL_ASSIGN(std::optional<Secret> z, agree(own, other.get(), KeyAlgorithm::x25519));
  if (z) return *std::move(z);
  return Secret::make(shared_secret_size(KeyAlgorithm::x25519));
}

}  // namespace

Status require_ml_kem(Code code) {
  if (has_ml_kem()) return {};
  return Error{code,
               "This machine's OpenSSL has no ML-KEM, so nothing is done with post-quantum keys "
               "here: use a machine with OpenSSL 3.5 or newer, such as Debian 13's.",
               0};
}

Result<HybridPublicKey> HybridPublicKey::from_bytes(ByteView bytes, const std::string& what) {
  if (bytes.size() != point_bytes + kem_public_size ||
      !is_encapsulation_key(bytes.subspan(point_bytes))) {
    return unreadable_public(what);
  }
  HybridPublicKey out;
  out.bytes_.assign(bytes.begin(), bytes.end());
  out.id_ = key_id_of_hybrid(bytes);
  return out;
}

Result<HybridPublicKey> HybridPublicKey::from_file(ByteView pem, const std::string& what) {
  CKPTSEAL_ASSIGN(const Bytes bytes, pem_decode(std::string(hybrid_public_label), pem, what));
  return from_bytes(bytes, what);
}

ByteView HybridPublicKey::x25519() const { return ByteView(bytes_).first(point_bytes); }

ByteView HybridPublicKey::ml_kem() const { return ByteView(bytes_).subspan(point_bytes); }

Result<std::string> HybridPublicKey::pem() const {
  return pem_encode(std::string(hybrid_public_label), bytes_);
}

bool HybridRecipient::owns(const SlotBody& slot) const {
  return slot.kind == static_cast<std::uint16_t>(SlotKind::hybrid) &&
         hybrid_key_id_of(slot.bytes) == key_.id();
}

Result<SlotBody> HybridRecipient::wrap(const Secret& data_key, const Checkpoint& of) {
  CKPTSEAL_TRY(require_ml_kem(Code::usage));
  HybridSlot slot;
  slot.key_id = key_.id();
  slot.label = label_of(label_);
  const OwnedKey ephemeral(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  if (ephemeral == nullptr) return openssl_error("Cannot make an ephemeral key");
  const Bytes point = point_of(ephemeral.get());
  if (point.size() != slot.ephemeral.size()) {
    return openssl_error("An ephemeral key has an unexpected form");
  }
  std::copy(point.begin(), point.end(), slot.ephemeral.begin());
  CKPTSEAL_ASSIGN(const Secret agreed, agreed_secret(ephemeral.get(), key_.x25519()));
  CKPTSEAL_ASSIGN(const Encapsulated kem, encapsulate(key_.ml_kem()));
  std::copy(kem.ciphertext.begin(), kem.ciphertext.end(), slot.ciphertext.begin());
  CKPTSEAL_TRY(slot.encrypt(kem.shared, agreed, data_key, of.id));
  return SlotBody{static_cast<std::uint16_t>(SlotKind::hybrid), slot.serialize()};
}

Result<HybridIdentity> HybridIdentity::make(Secret scalar, Secret seed) {
  HybridIdentity out(std::move(scalar), std::move(seed));
  const OwnedKey own = load_scalar(out.scalar_);
  if (own == nullptr) return openssl_error("Cannot load a private key of X25519");
  if (!has_ml_kem()) return out;
  Bytes bytes = point_of(own.get());
  CKPTSEAL_ASSIGN(const Bytes kem, encapsulation_key_of(out.seed_));
  bytes.insert(bytes.end(), kem.begin(), kem.end());
  CKPTSEAL_ASSIGN(out.key_, HybridPublicKey::from_bytes(bytes, "The public half of a key"));
  return out;
}

Result<HybridIdentity> HybridIdentity::generate() {
  CKPTSEAL_TRY(require_ml_kem(Code::usage));
  CKPTSEAL_ASSIGN(Secret scalar, random_secret(scalar_bytes));
  CKPTSEAL_ASSIGN(Secret seed, random_secret(kem_seed_size));
  return make(std::move(scalar), std::move(seed));
}

Result<HybridIdentity> HybridIdentity::from_file(const Secret& pem, const std::string& what) {
  CKPTSEAL_ASSIGN(const std::optional<Secret> both,
                  secret_pem_decode(std::string(hybrid_private_label), pem));
  if (!both || both->size() != scalar_bytes + kem_seed_size) return unreadable_private(what);
  CKPTSEAL_ASSIGN(Secret scalar, Secret::copy_of(both->view().first(scalar_bytes)));
  CKPTSEAL_ASSIGN(Secret seed, Secret::copy_of(both->view().subspan(scalar_bytes)));
  return make(std::move(scalar), std::move(seed));
}

Result<Secret> HybridIdentity::pem() const {
  CKPTSEAL_ASSIGN(Secret both, Secret::make(scalar_bytes + kem_seed_size));
  const auto behind =
      std::copy(scalar_.view().begin(), scalar_.view().end(), both.mutable_view().begin());
  std::copy(seed_.view().begin(), seed_.view().end(), behind);
  return secret_pem_encode(std::string(hybrid_private_label), both);
}

Result<std::optional<Secret>> HybridIdentity::unwrap(const SlotBody& slot, const Checkpoint& of) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::hybrid)) return std::optional<Secret>();
  const std::optional<KeyId> key_id = hybrid_key_id_of(slot.bytes);
  if (!key_id) return std::optional<Secret>();
  CKPTSEAL_TRY(require_ml_kem(Code::no_slot));
  if (!key_ || *key_id != key_->id()) return std::optional<Secret>();

  CKPTSEAL_ASSIGN(const HybridSlot parsed, HybridSlot::parse(slot.bytes));
  const OwnedKey own = load_scalar(scalar_);
  CKPTSEAL_ASSIGN(const Secret agreed, agreed_secret(own.get(), parsed.ephemeral));
  CKPTSEAL_ASSIGN(const Secret kem, decapsulate(seed_, parsed.ciphertext));
  CKPTSEAL_ASSIGN(std::optional<Secret> data_key, parsed.decrypt(kem, agreed, of.id));
  if (!data_key) return does_not_decrypt();
  return data_key;
}

}  // namespace ckptseal
