// SPDX-License-Identifier: Apache-2.0
#include "keymgr/refusals.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace ckptseal {
namespace {

constexpr std::array by_weight = {Code::locked, Code::unavailable, Code::policy,    Code::revoked,
                                  Code::failed, Code::integrity,   Code::untrusted, Code::no_slot};

auto place_of(Code code) { return std::find(by_weight.begin(), by_weight.end(), code); }

}  // namespace

bool is_skipped(Code code) { return code != Code::policy && code != Code::revoked; }

void Refusals::add(Error error) {
  if (!heaviest_ || place_of(error.code) < place_of(heaviest_->code)) heaviest_ = std::move(error);
}

}  // namespace ckptseal
