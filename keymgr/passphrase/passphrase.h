// SPDX-License-Identifier: Apache-2.0
//
// The recovery slot: the data key under a passphrase, by Argon2id (RFC 9106) and AES-256-GCM.
// docs/format.md, "Slots".
#pragma once

#include <cstdint>
#include <optional>

#include "base/crypto.h"
#include "keymgr/recipient.h"

namespace ckptseal {

struct Argon2Cost {
  std::uint32_t memory_kib = 0;  // 8 * lanes to 4194304
  std::uint32_t passes = 0;      // 1 to 16
  std::uint32_t lanes = 0;       // 1 to 16

  bool operator==(const Argon2Cost&) const = default;
};

// For a new slot, with `machine_memory` in bytes: three passes in four lanes over 256 MiB (RFC
// 9106, section 4, has 64 MiB as its least), or over half of the machine's memory if that is less.
Argon2Cost recommended_cost(std::uint64_t machine_memory);

// What opening a slot may ask for by itself, in KiB: half of the machine's memory, 1 GiB at most.
std::uint32_t default_memory_limit_kib(std::uint64_t machine_memory);

// The body of a slot of SlotKind::passphrase.
struct PassphraseSlot {
  ByteArray<16> salt{};
  Argon2Cost cost;
  ByteArray<data_key_size> wrapped_key{};
  Tag tag{};

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes, costs out of range among it;
  // Code::no_slot for a KDF that this version does not know.
  static Result<PassphraseSlot> parse(ByteView body);
};

class PassphraseRecipient : public Recipient {
 public:
  PassphraseRecipient(Secret passphrase, const Argon2Cost& cost)
      : passphrase_(std::move(passphrase)), cost_(cost) {}

  // Code::usage for a passphrase that has not 1 to 1024 bytes or a cost out of range, failed when
  // memory is short.
  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;

 private:
  Secret passphrase_;
  Argon2Cost cost_;
};

class PassphraseIdentity : public Identity {
 public:
  PassphraseIdentity(Secret passphrase, std::uint32_t memory_limit_kib)
      : passphrase_(std::move(passphrase)),
        memory_limit_kib_(memory_limit_kib),
        work_left_(std::uint64_t{memory_limit_kib} * most_work) {}

  // nullopt for another kind. Code::policy for a wrong passphrase or an altered slot (which look
  // the same), failed when the slot asks for more memory than the limit, or for more work than is
  // left of what all slots together may want, usage for a passphrase that has not 1 to 1024 bytes.
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  // Passes over the memory that is allowed. docs/format.md, "Which slot opens".
  static constexpr std::uint64_t most_work = 16;

  Status spend(const Argon2Cost& cost);

  Secret passphrase_;
  std::uint32_t memory_limit_kib_;
  std::uint64_t work_left_;  // KiB, of memory or for lanes, times passes
};

}  // namespace ckptseal
