// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes the front of a sealed checkpoint, refusing every second way to write it.
#include "sealing/header.h"

#include <fmt/format.h>

namespace ckptseal {
namespace {

constexpr std::string_view preamble_magic = "CKPTSEAL";
constexpr std::string_view header_magic = "CKSHEADR";
constexpr std::size_t fixed_header_bytes =
    24 + 32 + 32;  // before the immutable part, MAC, checksum
constexpr std::uint32_t largest_slot_body = 65536;
constexpr std::uint8_t condition_not_after = 1;
constexpr std::uint8_t condition_restores = 2;

Error damaged(std::string_view why) {
  return Error{Code::integrity, fmt::format("its header is damaged or altered ({})", why), 0};
}

bool known_suite(std::uint8_t suite) { return suite >= 1 && suite <= 4; }
bool known_content(std::uint8_t content) { return content >= 1 && content <= 3; }
bool in_range(unsigned value, unsigned low, unsigned high) { return value >= low && value <= high; }

// Each kind at most once, ascending.
Result<UseLimits> read_conditions(ByteReader& in, unsigned count, std::uint64_t created) {
  UseLimits out;
  unsigned last = 0;
  for (unsigned i = 0; i < count && in.ok(); ++i) {
    const std::uint8_t kind = in.u8();
    if (!in.ok()) break;
    if (kind != condition_not_after && kind != condition_restores) {
      return damaged("it has a condition that needs a newer ckpt-seal");
    }
    if (kind <= last) return damaged("its conditions are in disorder");
    last = kind;
    if (kind == condition_not_after) {
      out.not_after = in.u64();
      if (in.ok() && out.not_after <= created) return damaged("it ended before it began");
    } else {
      out.restores = in.u32();
      if (in.ok() && out.restores == 0) return damaged("it may be restored no time at all");
    }
  }
  if (!in.ok()) return damaged("its conditions are cut short");
  if (!in.at_end()) return damaged("its immutable part is too long");
  return out;
}

}  // namespace

Bytes ImmutablePart::serialize() const {
  ByteWriter out;
  out.u16(format_version)
      .u8(static_cast<std::uint8_t>(suite))
      .u8(static_cast<std::uint8_t>(content))
      .u8(static_cast<std::uint8_t>(header_log2))
      .u8(static_cast<std::uint8_t>(chunk_log2))
      .u16(0)
      .bytes(id)
      .bytes(commitment)
      .bytes(origin)
      .bytes(parent)
      .u64(created)
      .u16(static_cast<std::uint16_t>((limits.not_after != 0 ? 1 : 0) +
                                      (limits.restores != 0 ? 1 : 0)));
  if (limits.not_after != 0) out.u8(condition_not_after).u64(limits.not_after);
  if (limits.restores != 0) out.u8(condition_restores).u32(limits.restores);
  return out.take();
}

Result<ImmutablePart> ImmutablePart::parse(ByteView bytes) {
  ByteReader in(bytes);
  ImmutablePart part;
  const std::uint16_t version = in.u16();
  const std::uint8_t suite = in.u8();
  const std::uint8_t content = in.u8();
  part.header_log2 = in.u8();
  part.chunk_log2 = in.u8();
  const std::uint16_t zero = in.u16();
  part.id = in.array<16>();
  part.commitment = in.array<32>();
  part.origin = in.array<32>();
  part.parent = in.array<32>();
  part.created = in.u64();
  const std::uint16_t conditions = in.u16();
  if (!in.ok()) return damaged("its immutable part is too short");
  if (version != format_version) return damaged("unknown format version");
  if (!known_suite(suite)) return damaged("unknown suite");
  if (!known_content(content)) return damaged("unknown content");
  if (!in_range(part.header_log2, smallest_header_log2, largest_header_log2) ||
      !in_range(part.chunk_log2, smallest_chunk_log2, largest_chunk_log2) || zero != 0) {
    return damaged("a size is out of range");
  }
  CKPTSEAL_ASSIGN(part.limits, read_conditions(in, conditions, part.created));
  part.suite = static_cast<Suite>(suite);
  part.content = static_cast<Content>(content);
  return part;
}

Digest Slot::digest() const {
  ByteWriter out;
  out.u16(body.kind).bytes(body.bytes);
  return Sha256::of(out.view());
}

Digest slot_signature_digest(const CheckpointId& id, std::uint64_t generation, const Digest& slot) {
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/slot")).bytes(id).u64(generation).bytes(slot);
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

Bytes serialize_slots(const std::vector<Slot>& slots) {
  ByteWriter out;
  out.u16(static_cast<std::uint16_t>(slots.size()));
  for (const Slot& slot : slots) {
    out.u16(slot.body.kind)
        .u16(slot.adder ? 1 : 0)
        .u32(static_cast<std::uint32_t>(slot.body.bytes.size()))
        .bytes(slot.body.bytes);
    if (slot.adder) {
      out.bytes(slot.adder->host).u64(slot.adder->generation).bytes(slot.adder->signature);
    }
  }
  return out.take();
}

Result<std::vector<Slot>> parse_slots(ByteView bytes, Suite suite) {
  ByteReader in(bytes);
  const std::uint16_t count = in.u16();
  if (count == 0) return damaged("it has no slots");
  std::vector<Slot> slots;
  for (unsigned i = 0; i < count && in.ok(); ++i) {
    Slot slot;
    slot.body.kind = in.u16();
    const std::uint16_t adder = in.u16();
    const std::uint32_t length = in.u32();
    if (length == 0 || length > largest_slot_body) return damaged("a slot has an absurd length");
    const ByteView body = in.view(length);
    slot.body.bytes.assign(body.begin(), body.end());
    if (adder > 1) return damaged("a slot has an unknown kind of adder");
    if (adder == 1) {
      slot.adder = SlotAdder{in.array<32>(), in.u64(), in.array<64>()};
    }
    slots.push_back(std::move(slot));
  }
  if (!in.ok()) return damaged("its slots are cut short");
  if (!in.at_end()) return damaged("something stands behind its slots");
  if (is_exclusive(suite) && (slots.size() != 1 || slots[0].adder)) {
    return damaged("it is exclusive and has more than its one slot");
  }
  return slots;
}

Bytes HeaderBlock::build(std::uint64_t generation, ByteView immutable_bytes,
                         const std::vector<Slot>& slots, std::size_t block_bytes,
                         const Secret& header_key) {
  const Bytes slot_bytes = serialize_slots(slots);
  ByteWriter out;
  out.bytes(as_bytes(header_magic))
      .u64(generation)
      .u32(static_cast<std::uint32_t>(immutable_bytes.size()))
      .u32(static_cast<std::uint32_t>(slot_bytes.size()))
      .bytes(immutable_bytes)
      .bytes(slot_bytes);
  out.bytes(hmac_sha256(header_key.view(), out.view()));
  out.zeros(block_bytes - 32 - out.size());
  out.bytes(Sha256::of(out.view()));
  return out.take();
}

Result<HeaderBlock> HeaderBlock::parse(ByteView block) {
  if (block.size() < fixed_header_bytes) return damaged("it is too short");
  ByteReader in(block);
  const ByteView magic = in.view(header_magic.size());
  HeaderBlock header;
  header.generation = in.u64();
  const std::uint64_t immutable_length = in.u32();
  const std::uint64_t slots_length = in.u32();
  if (!in.ok() || !same_bytes(magic, as_bytes(header_magic))) return damaged("wrong magic");
  if (!same_bytes(Sha256::of(block.first(block.size() - 32)), block.last(32))) {
    return damaged("wrong checksum");
  }
  if (header.generation == 0) return damaged("it has no generation");
  if (fixed_header_bytes + immutable_length + slots_length > block.size()) {
    return damaged("a length is absurd");
  }
  const ByteView immutable = in.view(immutable_length);
  const ByteView slots = in.view(slots_length);
  const ByteView authenticated = block.first(block.size() - in.remaining());
  header.mac = in.array<32>();
  if (!all_zero(in.view(in.remaining() - 32))) return damaged("its padding is not zero");
  CKPTSEAL_ASSIGN(header.immutable, ImmutablePart::parse(immutable));
  if (header.immutable.header_size() != block.size()) return damaged("it contradicts its size");
  CKPTSEAL_ASSIGN(header.slots, parse_slots(slots, header.immutable.suite));
  header.immutable_bytes.assign(immutable.begin(), immutable.end());
  header.authenticated.assign(authenticated.begin(), authenticated.end());
  return header;
}

bool HeaderBlock::mac_fits(const Secret& header_key) const {
  return equal_constant_time(hmac_sha256(header_key.view(), authenticated), mac);
}

bool fits_header(const ImmutablePart& immutable, const std::vector<Slot>& slots,
                 std::size_t header_size) {
  return slots.size() <= 0xffff &&
         fixed_header_bytes + immutable.serialize().size() + serialize_slots(slots).size() <=
             header_size;
}

Result<unsigned> header_log2_for(const ImmutablePart& immutable, const std::vector<Slot>& slots) {
  for (unsigned log2 = smallest_header_log2; log2 <= largest_header_log2; ++log2) {
    if (fits_header(immutable, slots, (std::size_t{1} << log2) / 2)) return log2;
  }
  return Error{Code::usage,
               fmt::format("{} recipients need more room than the header of one file has; seal for "
                           "fewer at a time.",
                           slots.size()),
               0};
}

Bytes build_preamble(unsigned header_log2) {
  ByteWriter out;
  out.bytes(as_bytes(preamble_magic))
      .u16(format_version)
      .u8(static_cast<std::uint8_t>(header_log2));
  out.zeros(block_size - out.size());
  return out.take();
}

Result<unsigned> parse_preamble(ByteView block) {
  ByteReader in(block);
  const ByteView magic = in.view(preamble_magic.size());
  const std::uint16_t version = in.u16();
  const unsigned header_log2 = in.u8();
  if (!in.ok() || !same_bytes(magic, as_bytes(preamble_magic))) {
    return Error{Code::integrity, "it is not a sealed checkpoint (wrong magic)", 0};
  }
  if (block.size() != block_size) return Error{Code::integrity, "it is cut short", 0};
  if (version != format_version) {
    return Error{
        Code::integrity,
        fmt::format("it has format version {}, which this ckpt-seal does not know", version), 0};
  }
  if (!in_range(header_log2, smallest_header_log2, largest_header_log2)) {
    return damaged("the size of its header is absurd");
  }
  if (!all_zero(in.rest())) return damaged("the padding of its preamble is not zero");
  return header_log2;
}

}  // namespace ckptseal
