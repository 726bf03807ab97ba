// SPDX-License-Identifier: Apache-2.0
//
// PCR values as a small document, which `policy predict` writes and whoever approves a state reads.
// docs/event-logs.md, "The state document". It is not signed: it says what would be approved.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "policies/pcr.h"

namespace ckptseal {

struct PcrState {
  static constexpr std::size_t largest = 16384;

  std::map<unsigned, Digest> pcrs;  // of the SHA-256 bank, at least one

  // Code::integrity for anything but that document: other members, another bank or version, a PCR
  // above 23, hexadecimal of another length or in upper case, anything twice.
  static Result<PcrState> parse(std::string_view text);
  std::string serialize() const;  // whole lines

  // Code::usage when one that is selected has no value here.
  Result<PcrValues> values(const PcrSelection& selection) const;
};

}  // namespace ckptseal
