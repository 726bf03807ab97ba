// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes the immutable part, refusing every second way to write it.
#include "sealing/immutable_part.h"

#include "sealing/damage.h"

namespace ckptseal {
namespace {

constexpr std::uint8_t condition_not_after = 1;
constexpr std::uint8_t condition_restores = 2;

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
      return damaged_header("it has a condition that needs a newer ckpt-seal");
    }
    if (kind <= last) return damaged_header("its conditions are in disorder");
    last = kind;
    if (kind == condition_not_after) {
      out.not_after = in.u64();
      if (in.ok() && out.not_after <= created) return damaged_header("it ended before it began");
    } else {
      out.restores = in.u32();
      if (in.ok() && out.restores == 0) return damaged_header("it may be restored no time at all");
    }
  }
  if (!in.ok()) return damaged_header("its conditions are cut short");
  if (!in.at_end()) return damaged_header("its immutable part is too long");
  return out;
}

Status check_chain(const ImmutablePart& part) {
  if (part.depth > largest_depth) return damaged_header("its chain is too long");
  if ((part.depth != 0) != part.has_parent()) {
    return damaged_header("its depth and its parent contradict each other");
  }
  const bool may_have_one =
      part.is_signed() && part.content == Content::criu && !is_exclusive(part.suite);
  if (part.has_parent() && !may_have_one) return damaged_header("it may not have a parent");
  return {};
}

}  // namespace

Bytes ImmutablePart::serialize() const {
  ByteWriter out;
  out.u16(format_version)
      .u8(static_cast<std::uint8_t>(suite))
      .u8(static_cast<std::uint8_t>(content))
      .u8(static_cast<std::uint8_t>(header_log2))
      .u8(static_cast<std::uint8_t>(chunk_log2))
      .u8(static_cast<std::uint8_t>(depth))
      .u8(0)
      .bytes(id)
      .bytes(commitment)
      .bytes(origin)
      .bytes(parent)
      .bytes(slot_list)
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
  part.depth = in.u8();
  const std::uint8_t zero = in.u8();
  part.id = in.array<16>();
  part.commitment = in.array<32>();
  part.origin = in.array<32>();
  part.parent = in.array<32>();
  part.slot_list = in.array<32>();
  part.created = in.u64();
  const std::uint16_t conditions = in.u16();
  if (!in.ok()) return damaged_header("its immutable part is too short");
  if (version != format_version) return damaged_header("unknown format version");
  if (!known_suite(suite)) return damaged_header("unknown suite");
  if (!known_content(content)) return damaged_header("unknown content");
  if (!in_range(part.header_log2, smallest_header_log2, largest_header_log2) ||
      !in_range(part.chunk_log2, smallest_chunk_log2, largest_chunk_log2) || zero != 0) {
    return damaged_header("a size is out of range");
  }
  part.suite = static_cast<Suite>(suite);
  part.content = static_cast<Content>(content);
  CKPTSEAL_TRY(check_chain(part));
  CKPTSEAL_ASSIGN(part.limits, read_conditions(in, conditions, part.created));
  return part;
}

}  // namespace ckptseal
