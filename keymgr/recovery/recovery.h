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
  ByteArray<data_key_size> wrapped_key{};
  Tag tag{};

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes.
  static Result<RecoverySlot> parse(ByteView body);
};

class RecoveryRecipient : public Recipient {
 public:
  explicit RecoveryRecipient(RecoveryKey key) : key_(std::move(key)) {}

  // Code::usage for a second time in one checkpoint: key and nonce would be those of the first, and
  // what both wrapped would show. A key goes into one recipient only for the same reason.
  Result<SlotBody> wrap(const Secret& data_key, const CheckpointId& id) override;

 private:
  RecoveryKey key_;
  std::optional<CheckpointId> wrapped_for_;
};

class RecoveryIdentity : public Identity {
 public:
  // `key` as parse_recovery_text() gives it: whoever types it need not know its recovery id.
  explicit RecoveryIdentity(Secret key) : key_(std::move(key)) {}

  // nullopt for another kind. Code::policy for the slot of another key or an altered one (which
  // look the same).
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const CheckpointId& id) override;

 private:
  Secret key_;
};

}  // namespace ckptseal
