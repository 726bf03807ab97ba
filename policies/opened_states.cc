// SPDX-License-Identifier: Apache-2.0
//
// docs/state.md, "tpm/opened/", to the byte.
#include "policies/opened_states.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "base/crypto.h"

namespace ckptseal {
namespace {

constexpr std::string_view magic = "CKSOPEN1";

std::uint32_t mask_of(const PcrState& state) {
  std::uint32_t mask = 0;
  for (const auto& [pcr, value] : state.pcrs) mask |= 1U << pcr;
  return mask;
}

// Whether both can be of one moment.
bool agree(const PcrState& a, const PcrState& b) {
  return std::all_of(a.pcrs.begin(), a.pcrs.end(), [&b](const auto& one) {
    const auto other = b.pcrs.find(one.first);
    return other == b.pcrs.end() || other->second == one.second;
  });
}

}  // namespace

OpenedStates::OpenedStates(ByteView content) {
  if (parse(content)) return;
  states_.clear();
  entries_.clear();
}

bool OpenedStates::parse(ByteView content) {
  ByteReader in(content);
  if (!same_bytes(in.view(magic.size()), as_bytes(magic))) return false;
  const std::size_t state_count = in.u8();
  if (state_count > most_states) return false;
  for (std::size_t i = 0; i < state_count; ++i) {
    State state;
    state.log = in.array<32>();
    const Result<PcrSelection> selection = PcrSelection::of_mask(in.u32());
    if (!selection.ok()) return false;
    for (const unsigned pcr : selection.value().indices()) state.pcrs.pcrs[pcr] = in.array<32>();
    states_.push_back(std::move(state));
  }
  const std::size_t entry_count = in.u16();
  if (entry_count > most_entries || !in.ok()) return false;
  for (std::size_t i = 0; i < entry_count; ++i) {
    Entry entry;
    entry.id = in.array<16>();
    entry.time = in.u64();
    entry.state = in.u8();
    entry.mask = in.u32();
    if (!in.ok() || entry.state >= states_.size() || entry.mask == 0) return false;
    if ((entry.mask & ~mask_of(states_[entry.state].pcrs)) != 0) return false;
    if (find(entry.id)) return false;
    entries_.push_back(entry);
  }
  const std::size_t covered = content.size() - in.remaining();
  const Digest checksum = in.array<32>();
  if (!in.at_end() || Sha256::of(content.first(covered)) != checksum) return false;
  const std::size_t count = states_.size();
  forget_unused();
  return states_.size() == count;
}

Bytes OpenedStates::serialize() const {
  ByteWriter out;
  out.bytes(as_bytes(magic)).u8(static_cast<std::uint8_t>(states_.size()));
  for (const State& state : states_) {
    out.bytes(state.log).u32(mask_of(state.pcrs));
    for (const auto& [pcr, value] : state.pcrs.pcrs) out.bytes(value);
  }
  out.u16(static_cast<std::uint16_t>(entries_.size()));
  for (const Entry& entry : entries_) {
    out.bytes(entry.id).u64(entry.time).u8(static_cast<std::uint8_t>(entry.state)).u32(entry.mask);
  }
  const Digest checksum = Sha256::of(out.view());
  return out.bytes(checksum).take();
}

std::optional<OpenedState> OpenedStates::find(const Id& id) const {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&id](const Entry& candidate) { return candidate.id == id; });
  if (entry == entries_.end()) return std::nullopt;
  const State& state = states_[entry->state];
  OpenedState out;
  out.time = entry->time;
  if (!all_zero(state.log)) out.log = state.log;
  for (const auto& [pcr, value] : state.pcrs.pcrs) {
    if ((entry->mask >> pcr & 1U) != 0) out.pcrs.pcrs[pcr] = value;
  }
  return out;
}

void OpenedStates::remember(const Id& id, const OpenedState& opened) {
  if (!PcrSelection::of_mask(mask_of(opened.pcrs)).ok()) return;
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [&id](const Entry& entry) { return entry.id == id; }),
                 entries_.end());
  if (entries_.size() == most_entries) entries_.pop_back();
  forget_unused();
  const std::size_t state = state_of(opened);
  entries_.push_back({id, opened.time, state, mask_of(opened.pcrs)});
  std::rotate(entries_.begin(), entries_.end() - 1, entries_.end());
}

// One that fits, which then has its PCRs too, or a new one in the place of the oldest.
std::size_t OpenedStates::state_of(const OpenedState& opened) {
  const Digest log = opened.log.value_or(Digest{});
  const auto found = std::find_if(states_.begin(), states_.end(), [&](const State& state) {
    return state.log == log && agree(state.pcrs, opened.pcrs);
  });
  if (found != states_.end()) {
    found->pcrs.pcrs.insert(opened.pcrs.pcrs.begin(), opened.pcrs.pcrs.end());
    return static_cast<std::size_t>(std::distance(states_.begin(), found));
  }
  if (states_.size() == most_states) {
    // Each has an entry: the one whose first comes last.
    std::vector<std::size_t> last_use(states_.size());
    for (std::size_t i = entries_.size(); i-- > 0;) last_use[entries_[i].state] = i;
    const auto oldest = std::max_element(last_use.begin(), last_use.end());
    forget_state(static_cast<std::size_t>(std::distance(last_use.begin(), oldest)));
  }
  states_.push_back({log, opened.pcrs});
  return states_.size() - 1;
}

void OpenedStates::forget_state(std::size_t index) {
  states_.erase(states_.begin() + static_cast<std::ptrdiff_t>(index));
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [index](const Entry& entry) { return entry.state == index; }),
                 entries_.end());
  for (Entry& entry : entries_) entry.state -= entry.state > index ? 1 : 0;
}

void OpenedStates::forget_unused() {
  for (std::size_t i = states_.size(); i-- > 0;) {
    const bool used = std::any_of(entries_.begin(), entries_.end(),
                                  [i](const Entry& entry) { return entry.state == i; });
    if (!used) forget_state(i);
  }
}

std::vector<Digest> OpenedStates::logs() const {
  std::vector<Digest> out;
  for (const State& state : states_) {
    if (!all_zero(state.log)) out.push_back(state.log);
  }
  return out;
}

}  // namespace ckptseal
