// SPDX-License-Identifier: Apache-2.0
#include "keymgr/threshold/mixture.h"

#include <algorithm>

#include "keymgr/threshold/threshold.h"

namespace ckptseal {
namespace {

// No quantum computer that is foreseen finds a passphrase or a recovery key: nothing of them rests
// on public key cryptography.
bool is_classical(std::uint16_t kind) {
  return kind != static_cast<std::uint16_t>(SlotKind::hybrid) &&
         kind != static_cast<std::uint16_t>(SlotKind::passphrase) &&
         kind != static_cast<std::uint16_t>(SlotKind::recovery);
}

}  // namespace

std::vector<std::uint16_t> kinds_in(const SlotBody& slot) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::threshold)) return {slot.kind};
  const Result<ThresholdSlot> parsed = ThresholdSlot::parse(slot.bytes);
  if (!parsed.ok()) return {slot.kind};
  std::vector<std::uint16_t> out;
  for (const SlotBody& share : parsed.value().shares) out.push_back(share.kind);
  return out;
}

Status check_mixture(std::span<const std::uint16_t> kinds) {
  const bool hybrid = std::any_of(kinds.begin(), kinds.end(), [](std::uint16_t kind) {
    return kind == static_cast<std::uint16_t>(SlotKind::hybrid);
  });
  if (!hybrid || std::none_of(kinds.begin(), kinds.end(), is_classical)) return {};
  return Error{Code::usage,
               "it would be for post-quantum keys and for classical ones, of hosts, tokens or "
               "public keys, and one classical slot undoes the protection, for whoever breaks that "
               "one has all of the content; leave the others out, or say --mix-classical",
               0};
}

}  // namespace ckptseal
