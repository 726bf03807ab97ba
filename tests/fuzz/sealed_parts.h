// SPDX-License-Identifier: Apache-2.0
//
// Parts of a sealed checkpoint in which what no fuzzer guesses is put right: lengths, digests of
// slots, checksums.
#pragma once

#include <algorithm>

#include "fuzz.h"
#include "sealing/header.h"
#include "sealing/trailer.h"

namespace ckptseal::fuzz {

inline constexpr std::size_t header_size = std::size_t{1} << smallest_header_log2;

// The list of slots from the slots, where it has to be theirs, and its digest in the immutable
// part.
inline void put_slot_list_right(Bytes& block) {
  constexpr std::size_t front = 28;
  constexpr std::size_t digest_at = 120;
  ByteReader in(block);
  in.u64();
  const std::uint64_t generation = in.u64();
  const std::size_t immutable = in.u32();
  const std::size_t listed = in.u32();
  const std::size_t slots_size = in.u32();
  in.view(immutable);
  const ByteView list = in.view(listed * 32);
  const ByteView slots = in.view(slots_size);
  if (!in.ok() || immutable < digest_at + 32 || listed > largest_slot_count) return;
  const auto list_at = block.begin() + static_cast<std::ptrdiff_t>(front + immutable);
  const Result<std::vector<Slot>> parsed = parse_slots(slots);
  if (parsed.ok() && generation == 1 && parsed.value().size() == listed) {
    const Bytes right = slot_list_of(parsed.value());
    std::copy(right.begin(), right.end(), list_at);
  }
  const Digest digest = Sha256::of(list);
  std::copy(digest.begin(), digest.end(),
            block.begin() + static_cast<std::ptrdiff_t>(front + digest_at));
}

// A header copy that begins like `front`.
inline Bytes header_copy(ByteView front) {
  Bytes block = padded(front, header_size - 32);
  put_slot_list_right(block);
  return with_checksum(block, header_size);
}

// The end of a file that begins like `front`, of so many blocks.
inline Bytes trailer_of(ByteView front, std::size_t blocks) {
  const std::size_t size = blocks * block_size;
  ByteWriter out;
  out.bytes(padded(front, size - trailer_back_size)).u32(static_cast<std::uint32_t>(size));
  return with_checksum(out.view(), size);
}

}  // namespace ckptseal::fuzz
