// SPDX-License-Identifier: Apache-2.0
#include "keymgr/threshold/mixture.h"

#include <algorithm>

#include "keymgr/threshold/threshold.h"

namespace ckptseal {

std::vector<std::uint16_t> kinds_in(const SlotBody& slot) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::threshold)) return {slot.kind};
  const Result<ThresholdSlot> parsed = ThresholdSlot::parse(slot.bytes);
  if (!parsed.ok()) return {slot.kind};
  std::vector<std::uint16_t> out;
  for (const SlotBody& share : parsed.value().shares) out.push_back(share.kind);
  return out;
}

Status check_mixture(std::span<const std::uint16_t> kinds) {
  const auto hybrid =
      std::count(kinds.begin(), kinds.end(), static_cast<std::uint16_t>(SlotKind::hybrid));
  if (hybrid == 0 || hybrid == static_cast<std::ptrdiff_t>(kinds.size())) return {};
  return Error{Code::usage,
               "it would be for post-quantum keys and for others, and one slot of another kind "
               "undoes the protection, for whoever breaks that one has all of the content; leave "
               "the others out, or say --mix-classical",
               0};
}

}  // namespace ckptseal
