// SPDX-License-Identifier: Apache-2.0
//
// The front of a sealed checkpoint: preamble and header copies with the immutable part and the
// slots. docs/format.md, "Preamble", "Header copies", "Immutable part", "Slots". Pure: bytes in,
// bytes out.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "keymgr/recipient.h"
#include "sealing/layout.h"

namespace ckptseal {

// docs/format.md, "Immutable part"
struct ImmutablePart {
  Suite suite = Suite::aes_256_gcm;
  Content content = Content::stream;
  unsigned header_log2 = smallest_header_log2;
  unsigned chunk_log2 = standard_chunk_log2;
  CheckpointId id{};
  Digest commitment{};
  Digest origin{};            // all zero: unsigned
  Digest parent{};            // all zero: none
  std::uint64_t created = 0;  // seconds since 1970
  UseLimits limits;           // the conditions

  std::size_t chunk_size() const { return std::size_t{1} << chunk_log2; }
  std::size_t header_size() const { return std::size_t{1} << header_log2; }
  Checkpoint checkpoint() const { return {id, limits}; }
  bool is_signed() const { return !all_zero(origin); }
  std::uint64_t data_start() const { return block_size + 2 * header_size(); }

  Bytes serialize() const;
  static Result<ImmutablePart> parse(ByteView bytes);
};

// Who else than the origin put a slot there.
struct SlotAdder {
  Digest host{};  // identity of the adder
  std::uint64_t generation = 0;
  EcdsaSignature signature{};
};

struct Slot {
  SlotBody body;
  std::optional<SlotAdder> adder;  // nullopt: the origin, at sealing

  Digest digest() const;  // SHA-256(u16 kind || body)
};
// What the adder of a slot signs.
Digest slot_signature_digest(const CheckpointId& id, std::uint64_t generation, const Digest& slot);

// One for each recipient, as its origin puts them there.
Result<std::vector<Slot>> make_slots(std::span<const std::unique_ptr<Recipient>> recipients,
                                     const Secret& data_key, const Checkpoint& of);

Bytes serialize_slots(const std::vector<Slot>& slots);
Result<std::vector<Slot>> parse_slots(ByteView bytes, Suite suite);

// One header copy.
struct HeaderBlock {
  std::uint64_t generation = 1;
  Bytes immutable_bytes;  // as they stand in the file: signed, and the salt of all keys
  ImmutablePart immutable;
  std::vector<Slot> slots;
  Bytes authenticated;  // what the MAC is over
  Digest mac{};

  // A block of immutable.header_size() bytes. `header_key` makes the MAC.
  static Bytes build(std::uint64_t generation, ByteView immutable_bytes,
                     const std::vector<Slot>& slots, std::size_t block_bytes,
                     const Secret& header_key);
  static Result<HeaderBlock> parse(ByteView block);
  bool mac_fits(const Secret& header_key) const;
};

// The base-2 logarithm of the size of the header copies that leaves room for as many slots again,
// or Code::usage when there are too many slots for the largest one.
Result<unsigned> header_log2_for(const ImmutablePart& immutable, const std::vector<Slot>& slots);
// True when header copies of that many bytes have room for them.
bool fits_header(const ImmutablePart& immutable, const std::vector<Slot>& slots,
                 std::size_t header_size);

Bytes build_preamble(unsigned header_log2);
// The base-2 logarithm of the size of the header copies. `block` has block_size bytes, fewer only
// if the file has.
Result<unsigned> parse_preamble(ByteView block);

}  // namespace ckptseal
