// SPDX-License-Identifier: Apache-2.0
//
// What a sealed checkpoint is, from its sealing on: signed, and the salt of all its keys.
// docs/format.md, "Immutable part". Pure: bytes in, bytes out.
#pragma once

#include "base/result.h"
#include "policies/checkpoint.h"
#include "sealing/layout.h"

namespace ckptseal {

struct ImmutablePart {
  Suite suite = Suite::aes_256_gcm;
  Content content = Content::stream;
  unsigned header_log2 = smallest_header_log2;
  unsigned chunk_log2 = standard_chunk_log2;
  unsigned depth = 0;  // how many checkpoints are below it in its chain
  CheckpointId id{};
  Digest commitment{};
  Digest origin{};            // host identity; all zero: unsigned
  Digest parent{};            // origin digest of the parent; all zero: none
  Digest slot_list{};         // SHA-256 of it
  std::uint64_t created = 0;  // seconds since 1970
  UseLimits limits;           // the conditions

  std::size_t chunk_size() const { return std::size_t{1} << chunk_log2; }
  std::size_t header_size() const { return std::size_t{1} << header_log2; }
  Checkpoint checkpoint() const { return {id, limits, is_exclusive(suite), origin}; }
  bool is_signed() const { return !all_zero(origin); }
  bool has_parent() const { return !all_zero(parent); }
  std::uint64_t data_start() const { return block_size + 2 * header_size(); }

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes.
  static Result<ImmutablePart> parse(ByteView bytes);
};

}  // namespace ckptseal
