// SPDX-License-Identifier: Apache-2.0
//
// Recovery slots by HKDF and AES-256-GCM. docs/format.md, "Recovery key slot".
#include "keymgr/recovery/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ckptseal {
namespace {

constexpr std::string_view purpose = "ckpt-seal/v1/recovery";

// Zero is right: the salt gives each slot a key of its own, which encrypts one message.
constexpr Nonce only_nonce{};

Result<Aead> make_aead(const Secret& recovery_key, ByteView salt, const CheckpointId& id) {
  if (recovery_key.size() != recovery_key_size) {
    return Error{Code::failed, "A recovery key has 16 bytes: report this bug.", 0};
  }
  CKPTSEAL_ASSIGN(const Secret extracted, hkdf_extract(salt, recovery_key.view()));
  const Bytes info = ByteWriter().bytes(as_bytes(purpose)).bytes(id).take();
  CKPTSEAL_ASSIGN(const Secret key, hkdf_expand(extracted, info, 32));
  return Aead::make(Cipher::aes_256_gcm, key);
}

Bytes associated_data(const CheckpointId& id, const RecoveryId& recovery_id) {
  return ByteWriter().bytes(as_bytes(purpose)).bytes(id).bytes(recovery_id).take();
}

}  // namespace

Bytes RecoverySlot::serialize() const {
  return ByteWriter().bytes(id).bytes(salt).bytes(wrapped_key).bytes(tag).take();
}

Result<RecoverySlot> RecoverySlot::parse(ByteView body) {
  ByteReader in(body);
  RecoverySlot out;
  out.id = in.array<RecoveryId{}.size()>();
  out.salt = in.array<16>();
  out.wrapped_key = in.array<data_key_size>();
  out.tag = in.array<Tag{}.size()>();
  if (!in.at_end()) {
    return Error{Code::integrity,
                 "A recovery slot of this file has a wrong length: the file is damaged or altered, "
                 "so use another copy.",
                 0};
  }
  return out;
}

Result<SlotBody> RecoveryRecipient::wrap(const Secret& data_key, const Checkpoint& of) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  RecoverySlot slot;
  slot.id = key_.id;
  CKPTSEAL_ASSIGN(slot.salt, random_array<16>());
  CKPTSEAL_ASSIGN(Aead aead, make_aead(key_.key, slot.salt, of.id));
  CKPTSEAL_ASSIGN(Secret wrapped, Secret::copy_of(data_key.view()));
  CKPTSEAL_ASSIGN(
      slot.tag, aead.encrypt(only_nonce, associated_data(of.id, slot.id), wrapped.mutable_view()));
  std::copy(wrapped.view().begin(), wrapped.view().end(), slot.wrapped_key.begin());
  return SlotBody{static_cast<std::uint16_t>(SlotKind::recovery), slot.serialize()};
}

Result<std::optional<Secret>> RecoveryIdentity::unwrap(const SlotBody& slot, const Checkpoint& of) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::recovery)) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(const RecoverySlot parsed, RecoverySlot::parse(slot.bytes));
  CKPTSEAL_ASSIGN(Aead aead, make_aead(key_, parsed.salt, of.id));
  CKPTSEAL_ASSIGN(Secret data_key, Secret::copy_of(parsed.wrapped_key));
  CKPTSEAL_ASSIGN(const bool fits, aead.decrypt(only_nonce, associated_data(of.id, parsed.id),
                                                data_key.mutable_view(), parsed.tag));
  if (!fits) {
    return Error{
        Code::policy,
        fmt::format("The recovery key is another than that of this slot, or the slot was altered: "
                    "use the paper with the recovery id {}, or another copy of the file.",
                    to_hex(parsed.id)),
        0};
  }
  return std::optional<Secret>(std::move(data_key));
}

}  // namespace ckptseal
