// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes the frame of slots.
#include "sealing/slots.h"

#include "sealing/damage.h"

namespace ckptseal {
namespace {

constexpr std::uint32_t largest_slot_body = 65536;

// The adder's part, which has no signature exactly if nobody is named.
Result<SlotAdder> read_adder(ByteReader& in) {
  SlotAdder out;
  out.host = in.array<32>();
  out.generation = in.u64();
  out.time = in.u64();
  std::optional<FileSignature> signature = FileSignature::read(in);
  if (!in.ok()) return damaged_header("its slots are cut short");
  if (!signature || signature->is_none() != all_zero(out.host)) {
    return damaged_header("the signature of a slot is none");
  }
  out.signature = *std::move(signature);
  return out;
}

Result<Slot> read_slot(ByteReader& in) {
  Slot slot;
  slot.body.kind = in.u16();
  const std::uint16_t adder = in.u16();
  const std::uint32_t length = in.u32();
  if (!in.ok()) return damaged_header("its slots are cut short");
  if (length == 0 || length > largest_slot_body) {
    return damaged_header("a slot has an absurd length");
  }
  if (adder > 1) return damaged_header("a slot has an unknown kind of adder");
  const ByteView body = in.view(length);
  if (!in.ok()) return damaged_header("its slots are cut short");
  slot.body.bytes.assign(body.begin(), body.end());
  if (adder == 1) {
    CKPTSEAL_ASSIGN(slot.adder, read_adder(in));
  }
  return slot;
}

}  // namespace

Digest Slot::digest() const {
  ByteWriter out;
  out.u16(body.kind).bytes(body.bytes);
  return Sha256::of(out.view());
}

Digest slot_signature_digest(ByteView immutable_bytes, const SlotAdder& adder, const Digest& slot) {
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/slot")).bytes(Sha256::of(immutable_bytes));
  out.bytes(adder.host).u64(adder.generation).u64(adder.time).bytes(slot);
  return Sha256::of(out.view());
}

Result<std::vector<Slot>> make_slots(std::span<const std::unique_ptr<Recipient>> recipients,
                                     const Secret& data_key, const Checkpoint& of) {
  std::vector<Slot> slots;
  for (const auto& recipient : recipients) {
    CKPTSEAL_ASSIGN(SlotBody body, recipient->wrap(data_key, of));
    slots.push_back({std::move(body), std::nullopt});
  }
  return slots;
}

Bytes slot_list_of(const std::vector<Slot>& slots) {
  ByteWriter out;
  for (const Slot& slot : slots) out.bytes(slot.digest());
  return out.take();
}

Bytes serialize_slots(const std::vector<Slot>& slots) {
  ByteWriter out;
  out.u16(static_cast<std::uint16_t>(slots.size()));
  for (const Slot& slot : slots) {
    out.u16(slot.body.kind)
        .u16(slot.adder ? 1 : 0)
        .u32(static_cast<std::uint32_t>(slot.body.bytes.size()))
        .bytes(slot.body.bytes);
    if (!slot.adder) continue;
    out.bytes(slot.adder->host).u64(slot.adder->generation).u64(slot.adder->time);
    slot.adder->signature.write(out);
  }
  return out.take();
}

Result<std::vector<Slot>> parse_slots(ByteView bytes) {
  ByteReader in(bytes);
  const std::uint16_t count = in.u16();
  if (count == 0) return damaged_header("it has no slots");
  std::vector<Slot> slots;
  for (unsigned i = 0; i < count; ++i) {
    CKPTSEAL_ASSIGN(Slot slot, read_slot(in));
    slots.push_back(std::move(slot));
  }
  if (!in.at_end()) return damaged_header("something stands behind its slots");
  return slots;
}

bool may_be_exclusive(const SlotBody& slot) {
  switch (static_cast<SlotKind>(slot.kind)) {
    case SlotKind::tpm2:
    case SlotKind::public_key:
    case SlotKind::hybrid:
      return true;
    case SlotKind::passphrase:
    case SlotKind::recovery:
    case SlotKind::threshold:
      break;
  }
  return false;
}

}  // namespace ckptseal
