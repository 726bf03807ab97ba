// SPDX-License-Identifier: Apache-2.0
//
// The codec and the arithmetic of docs/state.md, "uses".
#include "policies/use_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "base/crypto.h"

namespace ckptseal {
namespace {

constexpr std::string_view magic = "CKSUSES1";

bool allowed_index(std::uint32_t index) { return index >> 24 == 0x01; }

Error revoked(std::string clause) { return {Code::revoked, std::move(clause), 0}; }

}  // namespace

UseKey use_key(const Digest& origin, const CheckpointId& id) {
  const Digest whole =
      Sha256().update(as_bytes("ckpt-seal/v1/use")).update(origin).update(id).finish();
  UseKey key{};
  std::copy_n(whole.begin(), key.size(), key.begin());
  return key;
}

Result<UseRecord> UseRecord::parse(ByteView content, const std::string& name) {
  const Error damaged{
      Code::integrity,
      fmt::format("{} is no record of uses, or it is damaged: put the right one back; for the "
                  "record of a host, ckpt-seal provision makes a new one.",
                  name),
      0};
  ByteReader in(content);
  if (!same_bytes(in.view(magic.size()), as_bytes(magic))) return damaged;
  UseRecord out;
  out.counter_index_ = in.u32();
  out.counter_ = in.u64();
  out.since_ = in.u64();
  const std::uint32_t entries = in.u32();
  if (!in.ok() || entries > most_entries) return damaged;
  const bool bound = allowed_index(out.counter_index_);
  const bool free = out.counter_index_ == 0 && out.counter_ == 0 && out.since_ == 0;
  if (!bound && !free) return damaged;
  for (std::uint32_t i = 0; i < entries && in.ok(); ++i) {
    const UseKey checkpoint = in.array<16>();
    const std::uint32_t uses = in.u32();
    if (uses == 0 || (!out.uses_.empty() && checkpoint <= out.uses_.rbegin()->first)) {
      return damaged;
    }
    out.uses_.emplace_hint(out.uses_.end(), checkpoint, uses);
  }
  const std::size_t covered = content.size() - in.remaining();
  const Digest sum = in.array<32>();
  if (!in.at_end() || Sha256::of(content.first(covered)) != sum) return damaged;
  return out;
}

Bytes UseRecord::serialize() const {
  ByteWriter out;
  out.bytes(as_bytes(magic)).u32(counter_index_).u64(counter_).u64(since_);
  out.u32(static_cast<std::uint32_t>(uses_.size()));
  for (const auto& [checkpoint, uses] : uses_) out.bytes(checkpoint).u32(uses);
  const Digest sum = Sha256::of(out.view());
  return out.bytes(sum).take();
}

std::uint32_t UseRecord::uses_of(const UseKey& checkpoint) const {
  const auto found = uses_.find(checkpoint);
  return found == uses_.end() ? 0 : found->second;
}

Status UseRecord::count(const UseKey& checkpoint, std::uint32_t limit, std::uint64_t created) {
  if (created < since_) {
    return revoked(
        "it may be restored a limited number of times, and was created before the record of uses "
        "of this host: nobody knows how often it was; have it sealed again");
  }
  const std::uint32_t uses = uses_of(checkpoint);
  if (uses >= limit) {
    return revoked(fmt::format("{} used up; if it is still needed, have its content sealed anew",
                               limit == 1 ? std::string("its one restore is")
                                          : fmt::format("its {} restores are", limit)));
  }
  if (uses == 0 && uses_.size() >= most_entries) {
    return revoked(fmt::format(
        "the record of uses is full: it has {} checkpoints, and takes no further one; move "
        "it away and make an empty one, after which a host refuses what it has now",
        uses_.size()));
  }
  if (bound_to_counter()) {
    if (counter_ == std::numeric_limits<std::uint64_t>::max()) {
      return revoked(
          "the record of uses is at the end of its counter; move it away and run 'ckpt-seal "
          "provision'");
    }
    ++counter_;
  }
  uses_[checkpoint] = uses + 1;
  return {};
}

}  // namespace ckptseal
