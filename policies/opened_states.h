// SPDX-License-Identifier: Apache-2.0
//
// In which state a host was when its TPM last opened a checkpoint: what is remembered so that an
// explanation can say what changed since. docs/state.md, "tpm/opened/". Nothing in it is trusted
// for anything but words.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "policies/pcr_state.h"

namespace ckptseal {

struct OpenedState {
  std::uint64_t time = 0;     // seconds since 1970-01-01 UTC
  PcrState pcrs;              // those that the opening asked for
  std::optional<Digest> log;  // SHA-256 of the event log of that boot
};

class OpenedStates {
 public:
  using Id = ByteArray<16>;  // of a checkpoint

  static constexpr std::size_t most_states = 16;
  static constexpr std::size_t most_entries = 1024;
  static constexpr std::size_t largest_file = 65536;

  // What is damaged counts as empty.
  explicit OpenedStates(ByteView content);

  Bytes serialize() const;
  std::optional<OpenedState> find(const Id& id) const;
  // The last opening of `id`. One that asked for no PCR is not remembered.
  void remember(const Id& id, const OpenedState& opened);
  std::vector<Digest> logs() const;  // that are referred to

 private:
  struct State {
    Digest log{};  // zeros: none
    PcrState pcrs;
  };
  struct Entry {
    Id id{};
    std::uint64_t time = 0;
    std::size_t state = 0;
    std::uint32_t mask = 0;
  };
  bool parse(ByteView content);
  std::size_t state_of(const OpenedState& opened);
  void forget_state(std::size_t index);
  void forget_unused();

  std::vector<State> states_;
  std::vector<Entry> entries_;  // the last opened first
};

}  // namespace ckptseal
