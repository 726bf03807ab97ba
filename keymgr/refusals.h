// SPDX-License-Identifier: Apache-2.0
//
// What was met by slots or shares that did not open, and which of it is the answer when nothing
// does. docs/format.md, "Which slot opens".
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace ckptseal {

// Told once for each slot or share that is skipped, in a sentence.
using SkipWarning = std::function<void(const std::string& sentence)>;

// Slots and shares of one TPM or token in a run: those behind are too much work.
inline constexpr unsigned most_tried = 64;

// Whether a slot or share with this error is skipped, rather than tried and found not to open.
bool is_skipped(Code code);

class Refusals {
 public:
  void add(Error error);
  bool empty() const { return !heaviest_.has_value(); }
  // The first of those whose code weighs most: 7, 8, 3, 6, 1, 5, 4, 9 in this order.
  const std::optional<Error>& heaviest() const { return heaviest_; }

 private:
  std::optional<Error> heaviest_;
};

}  // namespace ckptseal
