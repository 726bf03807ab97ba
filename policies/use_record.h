// SPDX-License-Identifier: Apache-2.0
//
// How often content of limited checkpoints was given out, to the byte, and what one use more does.
// docs/state.md, "uses"; docs/policies.md, "Limits". Pure: no files, no TPM, no clock.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "policies/checkpoint.h"

namespace ckptseal {

// No other origin can make a checkpoint that is counted as this one.
UseKey use_key(const Digest& origin, const CheckpointId& id);

class UseRecord {
 public:
  static constexpr std::size_t most_entries = 65536;
  static constexpr std::size_t largest_size = 8 + 4 + 8 + 8 + 4 + most_entries * 20 + 32;

  // Of who answers for other hosts: bound to no counter, and refuses nothing for its age.
  UseRecord() = default;
  // Of a host: what was created before `since` is refused.
  UseRecord(std::uint32_t counter_index, std::uint64_t counter, std::uint64_t since)
      : counter_index_(counter_index), counter_(counter), since_(since) {}

  // `name` names the file in the error, which is a sentence. Code::integrity for whatever
  // serialize() does not make.
  static Result<UseRecord> parse(ByteView content, const std::string& name);
  Bytes serialize() const;

  bool bound_to_counter() const { return counter_index_ != 0; }
  std::uint32_t counter_index() const { return counter_index_; }
  std::uint64_t counter() const { return counter_; }
  std::uint64_t since() const { return since_; }
  std::size_t entries() const { return uses_.size(); }
  std::uint32_t uses_of(const UseKey& checkpoint) const;

  // One use more of a checkpoint that may have `limit` of them, not 0. Code::revoked, and nothing
  // has changed: it is used up, it is of before this record, or the record is full. The error is a
  // clause about the checkpoint ("its 3 restores are used up").
  Status count(const UseKey& checkpoint, std::uint32_t limit, std::uint64_t created);

  bool operator==(const UseRecord&) const = default;

 private:
  std::uint32_t counter_index_ = 0;
  std::uint64_t counter_ = 0;
  std::uint64_t since_ = 0;
  std::map<UseKey, std::uint32_t> uses_;
};

}  // namespace ckptseal
