// SPDX-License-Identifier: Apache-2.0
//
// The slot for several recipients of whom k of n are needed together: each has a share of the data
// key, wrapped as by a slot of its own. docs/format.md, "Threshold slot".
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "keymgr/recipient.h"
#include "keymgr/refusals.h"

namespace ckptseal {

// The body of a slot of SlotKind::threshold.
struct ThresholdSlot {
  std::uint8_t needed = 0;       // k
  std::vector<SlotBody> shares;  // n; the first is share 1

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes, numbers out of range among it.
  static Result<ThresholdSlot> parse(ByteView body);
};

class ThresholdRecipient : public Recipient {
 public:
  ThresholdRecipient(std::size_t needed, std::vector<std::unique_ptr<Recipient>> recipients)
      : needed_(needed), recipients_(std::move(recipients)) {}

  // Code::usage unless there are 2 to 16 recipients, none of them a threshold, and 2 to all of them
  // are needed; also what a recipient fails with.
  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;

 private:
  std::size_t needed_;
  std::vector<std::unique_ptr<Recipient>> recipients_;
};

class ThresholdIdentity : public Identity {
 public:
  // The identities must outlive it; they open their own slots, too.
  explicit ThresholdIdentity(std::vector<Identity*> identities, SkipWarning warn = {})
      : identities_(std::move(identities)), warn_(std::move(warn)) {}

  // nullopt for another kind, and when no share is for any of the identities. When some are and too
  // few open: what weighs most of the shares' errors, else Code::no_slot. Shares that are skipped
  // are warned of, as slots are. The key may be wrong, if shares were exchanged: the key commitment
  // says so.
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  std::vector<Identity*> identities_;
  SkipWarning warn_;
};

}  // namespace ckptseal
