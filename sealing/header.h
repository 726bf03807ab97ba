// SPDX-License-Identifier: Apache-2.0
//
// The front of a sealed checkpoint: preamble and header copies. docs/format.md, "Preamble", "Header
// copies". Pure: bytes in, bytes out.
#pragma once

#include "sealing/immutable_part.h"
#include "sealing/slots.h"

namespace ckptseal {

// Who vouches for the slots of a header that is no longer the one from sealing.
struct HeaderChange {
  Digest changer{};  // host identity; all zero: unsigned
  Seconds time = 0;  // when, as the changer says
  FileSignature signature;
};

// One header copy.
struct HeaderBlock {
  std::uint64_t generation = 1;
  Bytes immutable_bytes;  // as they stand in the file: signed, and the salt of all keys
  ImmutablePart immutable;
  Bytes slot_list;   // digests of the slots at sealing
  Bytes slot_bytes;  // as they stand in the file
  std::vector<Slot> slots;
  std::optional<HeaderChange> change;  // from generation 2 on
  Bytes authenticated;                 // what the MAC is over
  Digest mac{};

  // What the changer signs, of `change` all but its signature.
  Digest change_digest() const;

  // The block, of immutable.header_size() bytes, from the fields above `authenticated` but `slots`.
  // It must fit. `header_key` makes the MAC.
  Bytes serialize(const Secret& header_key) const;
  // A sound copy; Code::integrity for any other.
  static Result<HeaderBlock> parse(ByteView block);
  bool mac_fits(const Secret& header_key) const;
  // Whether serialize() has room in that many bytes.
  bool fits(std::size_t header_size) const;
};

inline constexpr std::size_t header_front_size = 28;  // of a copy, before its immutable part
// Whether a copy of this format version seems to begin with these header_front_size + 2 bytes, be
// it sound or not.
bool begins_header_copy(ByteView front);

// The header of a file that is sealed, for these slots; sets `slot_list` and `header_log2` of the
// immutable part. Code::usage when there are too many slots for the largest header.
Result<HeaderBlock> first_header(ImmutablePart immutable, std::vector<Slot> slots);

Bytes build_preamble(unsigned header_log2);
// The base-2 logarithm of the size of the header copies. `block` has block_size bytes, fewer only
// if the file has.
Result<unsigned> parse_preamble(ByteView block);

}  // namespace ckptseal
