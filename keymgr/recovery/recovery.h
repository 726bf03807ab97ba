// SPDX-License-Identifier: Apache-2.0
//
// The slot for a recovery key: 128 random bits, so no work has to be done to stretch them.
// docs/format.md, "Recovery key slot".
#pragma once

#include <optional>

#include "base/crypto.h"
#include "keymgr/recipient.h"
#include "keymgr/recovery/recovery_key.h"

namespace ckptseal {

// The body of a slot of SlotKind::recovery.
struct RecoverySlot {
  RecoveryId id{};
  ByteArray<16> salt{};
  ByteArray<data_key_size> wrapped_key{};
  Tag tag{};

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes.
  static Result<RecoverySlot> parse(ByteView body);
};

class RecoveryRecipient : public Recipient {
 public:
  explicit RecoveryRecipient(RecoveryKey key) : key_(std::move(key)) {}

  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;

 private:
  RecoveryKey key_;
};

class RecoveryIdentity : public Identity {
 public:
  // `key` as parse_recovery_text() gives it: whoever types it need not know its recovery id.
  explicit RecoveryIdentity(Secret key) : key_(std::move(key)) {}

  // nullopt for another kind. Code::policy for the slot of another key or an altered one (which
  // look the same).
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  Secret key_;
};

}  // namespace ckptseal
