// SPDX-License-Identifier: Apache-2.0
//
// The body of a slot for a key of X25519 and ML-KEM-768, and how the two shared secrets together
// wrap the data key in it: docs/format.md, "Hybrid public key slot".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "keymgr/public_key/slot.h"

namespace ckptseal {

inline constexpr std::size_t kem_ciphertext_size = 1088;

// The body of a slot of SlotKind::hybrid.
struct HybridSlot {
  KeyId key_id{};
  std::string label;  // for people
  ByteArray<32> ephemeral{};
  ByteArray<kem_ciphertext_size> ciphertext{};
  ByteArray<data_key_size> wrapped_key{};
  Tag tag{};

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes.
  static Result<HybridSlot> parse(ByteView body);

  // `kem` is the shared secret of `ciphertext` (K), `agreed` that of `ephemeral` (Z). encrypt()
  // sets wrapped_key and tag from all other fields; decrypt() has nullopt when they do not fit.
  // Both refuse an `agreed` that is all zero, decrypt() as one that does not fit.
  Status encrypt(const Secret& kem, const Secret& agreed, const Secret& data_key,
                 const CheckpointId& id);
  Result<std::optional<Secret>> decrypt(const Secret& kem, const Secret& agreed,
                                        const CheckpointId& id) const;
};

// Whose slot it is, without reading anything else of it; nullopt for a body that is too short.
std::optional<KeyId> hybrid_key_id_of(ByteView body);

// "A hybrid slot of this file WHAT: ..." with Code::integrity.
Error damaged_hybrid_slot(std::string_view what);

}  // namespace ckptseal
