// SPDX-License-Identifier: Apache-2.0
//
// docs/state.md, "tpm/tickets", to the byte.
#include "keymgr/tpm2/ticket_cache.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

constexpr std::string_view magic = "CKSTICK1";
constexpr std::size_t most_entries = 16;
constexpr std::size_t largest_ticket = 64;

}  // namespace

TicketCache::TicketCache(ByteView content, std::function<void(const Bytes&)> save)
    : save_(std::move(save)) {
  ByteReader in(content);
  std::vector<Entry> entries;
  if (!same_bytes(in.view(magic.size()), as_bytes(magic))) return;
  const std::size_t count = in.u8();
  for (std::size_t i = 0; i < std::min(count, most_entries); ++i) {
    Entry entry;
    entry.hash = in.array<32>();
    entry.key = in.array<34>();
    const std::size_t size = in.u8();
    const ByteView ticket = in.view(size);
    if (size == 0 || size > largest_ticket) return;
    entry.ticket.assign(ticket.begin(), ticket.end());
    entries.push_back(std::move(entry));
  }
  const std::size_t covered = content.size() - in.remaining();
  const Digest checksum = in.array<32>();
  if (count > most_entries || !in.at_end() || Sha256::of(content.first(covered)) != checksum)
    return;
  entries_ = std::move(entries);
}

Bytes TicketCache::serialize() const {
  ByteWriter out;
  out.bytes(as_bytes(magic)).u8(static_cast<std::uint8_t>(entries_.size()));
  for (const Entry& entry : entries_) {
    out.bytes(entry.hash).bytes(entry.key);
    out.u8(static_cast<std::uint8_t>(entry.ticket.size())).bytes(entry.ticket);
  }
  const Digest checksum = Sha256::of(out.view());
  return out.bytes(checksum).take();
}

std::size_t TicketCache::age(const Approval& approval) const {
  const Digest hash = approval.release_hash();
  const TpmName key = authority_name(approval.statement().term.key);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.hash == hash && entry.key == key;
  });
  return static_cast<std::size_t>(found - entries_.begin());
}

Bytes TicketCache::find(const Approval& approval) const {
  const std::size_t at = age(approval);
  return at < entries_.size() ? entries_[at].ticket : Bytes();
}

void TicketCache::keep(const Approval& approval, const Bytes& ticket) {
  if (ticket.empty() || ticket.size() > largest_ticket) return;
  const std::size_t at = age(approval);
  if (at == 0 && !entries_.empty() && entries_.front().ticket == ticket) return;
  if (at < entries_.size()) entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(at));
  if (entries_.size() == most_entries) entries_.pop_back();
  entries_.insert(entries_.begin(), Entry{approval.release_hash(),
                                          authority_name(approval.statement().term.key), ticket});
  if (save_) save_(serialize());
}

}  // namespace ckptseal
