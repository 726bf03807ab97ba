// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes the front of a sealed checkpoint, refusing every second way to write it.
#include "sealing/header.h"

#include <fmt/format.h>

#include <algorithm>

#include "sealing/damage.h"

namespace ckptseal {
namespace {

constexpr std::string_view preamble_magic = "CKPTSEAL";
constexpr std::string_view header_magic = "CKSHEADR";
constexpr std::size_t back_size = 64;  // MAC and checksum
// docs/format.md, "Writing": as many slots again, and at least one that is added, and a change, by
// signatures of a later kind.
constexpr std::size_t room_for_a_change = 6144;
constexpr std::size_t digest_size = std::tuple_size_v<Digest>;

Result<std::optional<HeaderChange>> read_change(ByteReader& in, std::uint64_t generation) {
  if (generation == 1) return std::optional<HeaderChange>();
  HeaderChange change;
  change.changer = in.array<32>();
  change.time = in.u64();
  std::optional<FileSignature> signature = FileSignature::read(in);
  if (!in.ok() || !signature || signature->is_none() != all_zero(change.changer)) {
    return damaged_header("nobody has signed its last change as it has to be");
  }
  change.signature = *std::move(signature);
  return std::optional<HeaderChange>(std::move(change));
}

// At generation 1 the slots are those of the list; an adder later put his there later.
Status check_slots(const HeaderBlock& header) {
  if (Sha256::of(header.slot_list) != header.immutable.slot_list) {
    return damaged_header("its list of slots is another");
  }
  if (header.generation == 1 && slot_list_of(header.slots) != header.slot_list) {
    return damaged_header("its slots are not those from its sealing");
  }
  for (const Slot& slot : header.slots) {
    if (!slot.adder) continue;
    if (slot.adder->generation < 2 || slot.adder->generation > header.generation) {
      return damaged_header("a slot was added at no time");
    }
  }
  if (!is_exclusive(header.immutable.suite)) return {};
  if (header.generation != 1 || header.slots.size() != 1 ||
      !may_be_exclusive(header.slots[0].body)) {
    return damaged_header("it is exclusive and not for one recipient alone");
  }
  return {};
}

std::size_t size_of(const HeaderBlock& header) {
  std::size_t size = header_front_size + header.immutable_bytes.size() + header.slot_list.size() +
                     header.slot_bytes.size() + back_size;
  if (header.change) size += digest_size + 8 + header.change->signature.size();
  return size;
}

}  // namespace

Digest HeaderBlock::change_digest() const {
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/slots")).bytes(Sha256::of(immutable_bytes));
  out.bytes(change->changer).u64(generation).u64(change->time).bytes(Sha256::of(slot_bytes));
  return Sha256::of(out.view());
}

Bytes HeaderBlock::serialize(const Secret& header_key) const {
  ByteWriter out;
  out.bytes(as_bytes(header_magic))
      .u64(generation)
      .u32(static_cast<std::uint32_t>(immutable_bytes.size()))
      .u32(static_cast<std::uint32_t>(slot_list.size() / digest_size))
      .u32(static_cast<std::uint32_t>(slot_bytes.size()))
      .bytes(immutable_bytes)
      .bytes(slot_list)
      .bytes(slot_bytes);
  if (change) {
    out.bytes(change->changer).u64(change->time);
    change->signature.write(out);
  }
  out.bytes(hmac_sha256(header_key.view(), out.view()));
  out.zeros(immutable.header_size() - digest_size - out.size());
  out.bytes(Sha256::of(out.view()));
  return out.take();
}

Result<HeaderBlock> HeaderBlock::parse(ByteView block) {
  if (block.size() < header_front_size + back_size) return damaged_header("it is too short");
  ByteReader in(block.first(block.size() - digest_size));
  const ByteView magic = in.view(header_magic.size());
  HeaderBlock header;
  header.generation = in.u64();
  const std::uint64_t immutable_length = in.u32();
  const std::uint64_t listed = in.u32();
  const std::uint64_t slots_length = in.u32();
  if (!same_bytes(magic, as_bytes(header_magic))) return damaged_header("wrong magic");
  if (!same_bytes(Sha256::of(block.first(block.size() - digest_size)), block.last(digest_size))) {
    return damaged_header("wrong checksum");
  }
  if (header.generation == 0 || header.generation > largest_generation) {
    return damaged_header("it has no possible generation");
  }
  if (listed == 0 || listed > largest_slot_count) {
    return damaged_header("its list of slots has an absurd length");
  }
  const ByteView immutable = in.view(immutable_length);
  const ByteView list = in.view(listed * digest_size);
  const ByteView slots = in.view(slots_length);
  if (!in.ok()) return damaged_header("a length is absurd");
  CKPTSEAL_ASSIGN(header.change, read_change(in, header.generation));
  const ByteView authenticated = block.first(block.size() - digest_size - in.remaining());
  header.mac = in.array<32>();
  if (!in.ok()) return damaged_header("it has no room for its MAC");
  if (!all_zero(in.rest())) return damaged_header("its padding is not zero");
  CKPTSEAL_ASSIGN(header.immutable, ImmutablePart::parse(immutable));
  if (header.immutable.header_size() != block.size()) {
    return damaged_header("it contradicts its size");
  }
  CKPTSEAL_ASSIGN(header.slots, parse_slots(slots));
  header.immutable_bytes.assign(immutable.begin(), immutable.end());
  header.slot_list.assign(list.begin(), list.end());
  header.slot_bytes.assign(slots.begin(), slots.end());
  header.authenticated.assign(authenticated.begin(), authenticated.end());
  CKPTSEAL_TRY(check_slots(header));
  return header;
}

bool begins_header_copy(ByteView front) {
  ByteReader in(front);
  const ByteView magic = in.view(header_magic.size());
  in.view(header_front_size - header_magic.size());
  return in.u16() == format_version && in.ok() && same_bytes(magic, as_bytes(header_magic));
}

bool HeaderBlock::mac_fits(const Secret& header_key) const {
  return equal_constant_time(hmac_sha256(header_key.view(), authenticated), mac);
}

bool HeaderBlock::fits(std::size_t header_size) const {
  return slots.size() <= largest_slot_count && size_of(*this) <= header_size;
}

Result<HeaderBlock> first_header(ImmutablePart immutable, std::vector<Slot> slots) {
  HeaderBlock header;
  header.slot_list = slot_list_of(slots);
  header.slot_bytes = serialize_slots(slots);
  header.slots = std::move(slots);
  immutable.slot_list = Sha256::of(header.slot_list);
  header.immutable_bytes = immutable.serialize();
  for (unsigned log2 = smallest_header_log2; log2 <= largest_header_log2; ++log2) {
    const std::size_t size = std::size_t{1} << log2;
    if (size < room_for_a_change || !header.fits(std::min(size / 2, size - room_for_a_change))) {
      continue;
    }
    immutable.header_log2 = log2;
    header.immutable = immutable;
    header.immutable_bytes = immutable.serialize();
    return header;
  }
  return Error{Code::usage,
               fmt::format("{} recipients need more room than the header of one file has; seal for "
                           "fewer at a time.",
                           header.slots.size()),
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
  if (header_log2 < smallest_header_log2 || header_log2 > largest_header_log2) {
    return damaged_header("the size of its header is absurd");
  }
  if (!all_zero(in.rest())) return damaged_header("the padding of its preamble is not zero");
  return header_log2;
}

}  // namespace ckptseal
