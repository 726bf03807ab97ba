// SPDX-License-Identifier: Apache-2.0
//
// Hybrid slots: their encoding, and HKDF and AES-256-GCM over both shared secrets.
#include "keymgr/public_key/hybrid_slot.h"

#include <fmt/format.h>

#include <algorithm>

namespace ckptseal {
namespace {

constexpr std::string_view purpose = "ckpt-seal/v1/hybrid";
constexpr std::size_t shared_size = 32;  // of either secret

// All of the body before the encrypted data key.
Bytes head_of(const HybridSlot& slot) {
  ByteWriter out;
  out.bytes(slot.key_id);
  out.u8(static_cast<std::uint8_t>(slot.label.size())).bytes(as_bytes(slot.label));
  out.bytes(slot.ephemeral).bytes(slot.ciphertext);
  return out.take();
}

// An attacker has to know both of the secrets to know their hash.
Result<Aead> cipher_for(const HybridSlot& slot, const Secret& kem, const Secret& agreed,
                        const CheckpointId& id) {
  CKPTSEAL_ASSIGN(Secret both, Secret::make(2 * shared_size));
  std::copy(kem.view().begin(), kem.view().end(), both.mutable_view().begin());
  std::copy(agreed.view().begin(), agreed.view().end(), both.mutable_view().begin() + shared_size);
  CKPTSEAL_ASSIGN(const Secret extracted, hkdf_extract(id, both.view()));
  ByteWriter info;
  info.bytes(as_bytes(purpose)).bytes(slot.key_id).bytes(slot.ephemeral).bytes(slot.ciphertext);
  CKPTSEAL_ASSIGN(const Secret key, hkdf_expand(extracted, info.view(), 32));
  return Aead::make(Cipher::aes_256_gcm, key);
}

Bytes associated_data(const HybridSlot& slot, const CheckpointId& id) {
  return ByteWriter().bytes(as_bytes(purpose)).bytes(id).bytes(head_of(slot)).take();
}

// Zero is right: the key comes from fresh secrets and encrypts this one message.
constexpr Nonce only_nonce{};

Status check_lengths(const Secret& kem, const Secret& agreed) {
  if (kem.size() == shared_size && agreed.size() == shared_size) return {};
  return Error{Code::failed, "The shared secrets of a hybrid slot have 32 bytes: report this bug.",
               0};
}

}  // namespace

Error damaged_hybrid_slot(std::string_view what) {
  return {Code::integrity,
          fmt::format("A hybrid slot of this file {}: the file is damaged or altered, so use "
                      "another copy.",
                      what),
          0};
}

std::optional<KeyId> hybrid_key_id_of(ByteView body) {
  ByteReader in(body);
  const KeyId id = in.array<32>();
  if (!in.ok()) return std::nullopt;
  return id;
}

Bytes HybridSlot::serialize() const {
  return ByteWriter().bytes(head_of(*this)).bytes(wrapped_key).bytes(tag).take();
}

Result<HybridSlot> HybridSlot::parse(ByteView body) {
  ByteReader in(body);
  HybridSlot out;
  out.key_id = in.array<32>();
  out.label = as_text(in.view(in.u8()));
  out.ephemeral = in.array<32>();
  out.ciphertext = in.array<kem_ciphertext_size>();
  out.wrapped_key = in.array<data_key_size>();
  out.tag = in.array<16>();
  if (!in.at_end()) return damaged_hybrid_slot("has not the length that it has to have");
  if (!is_label(out.label)) return damaged_hybrid_slot("has a label that cannot be printed");
  return out;
}

Status HybridSlot::encrypt(const Secret& kem, const Secret& agreed, const Secret& data_key,
                           const CheckpointId& id) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  CKPTSEAL_TRY(check_lengths(kem, agreed));
  if (all_zero(agreed.view())) {  // RFC 7748, section 6.1
    return Error{Code::integrity,
                 "The X25519 half of a recipient's key agrees on the same secret with everybody: "
                 "it is damaged or forged, so get the key again from its owner.",
                 0};
  }
  CKPTSEAL_ASSIGN(Aead aead, cipher_for(*this, kem, agreed, id));
  CKPTSEAL_ASSIGN(Secret wrapped, Secret::copy_of(data_key.view()));
  CKPTSEAL_ASSIGN(tag,
                  aead.encrypt(only_nonce, associated_data(*this, id), wrapped.mutable_view()));
  std::copy(wrapped.view().begin(), wrapped.view().end(), wrapped_key.begin());
  return {};
}

Result<std::optional<Secret>> HybridSlot::decrypt(const Secret& kem, const Secret& agreed,
                                                  const CheckpointId& id) const {
  CKPTSEAL_TRY(check_lengths(kem, agreed));
  if (all_zero(agreed.view())) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(Aead aead, cipher_for(*this, kem, agreed, id));
  CKPTSEAL_ASSIGN(Secret data_key, Secret::copy_of(wrapped_key));
  CKPTSEAL_ASSIGN(const bool fits, aead.decrypt(only_nonce, associated_data(*this, id),
                                                data_key.mutable_view(), tag));
  if (!fits) return std::optional<Secret>();
  return std::optional<Secret>(std::move(data_key));
}

}  // namespace ckptseal
