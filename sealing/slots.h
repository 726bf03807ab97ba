// SPDX-License-Identifier: Apache-2.0
//
// The slots of a header: their frame, their digests, and who put them there. docs/format.md,
// "Slots". What a slot holds is keymgr/'s. Pure: bytes in, bytes out.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "keymgr/recipient.h"
#include "sealing/layout.h"
#include "sealing/signature.h"

namespace ckptseal {

// Who else than the origin put a slot there.
struct SlotAdder {
  Digest host{};  // identity; all zero: unsigned
  std::uint64_t generation = 0;
  Seconds time = 0;  // when, as the adder says
  FileSignature signature;
};

struct Slot {
  SlotBody body;
  std::optional<SlotAdder> adder;  // nullopt: the origin, at sealing

  Digest digest() const;  // SHA-256(u16 kind || body)
};

// What the adder of a slot signs; `adder` but its signature.
Digest slot_signature_digest(ByteView immutable_bytes, const SlotAdder& adder, const Digest& slot);

// One for each recipient, as its origin puts them there.
Result<std::vector<Slot>> make_slots(std::span<const std::unique_ptr<Recipient>> recipients,
                                     const Secret& data_key, const Checkpoint& of);

// The digests of all slots, one behind the other: the slot list of a file with these at sealing.
Bytes slot_list_of(const std::vector<Slot>& slots);

Bytes serialize_slots(const std::vector<Slot>& slots);
// Code::integrity for what serialize_slots() would not have written. What the suite and the
// generation of the header demand is checked there.
Result<std::vector<Slot>> parse_slots(ByteView bytes);

// True for the kinds that one holder of one key opens: docs/format.md, "Suites", exclusive.
bool may_be_exclusive(const SlotBody& slot);

}  // namespace ckptseal
