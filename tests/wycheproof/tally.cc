// SPDX-License-Identifier: Apache-2.0
//
// What counts as a fault: an outcome that the vector does not allow, a file of which nothing was
// run, and a known disagreement that is none any more.
#include "tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace ckptseal::test {
namespace {

// Empty when the outcome is as it should be.
std::string_view fault_of(Outcome outcome, bool should_be_accepted) {
  if (outcome == Outcome::wrong) return "gives a wrong output";
  if (outcome == Outcome::refused && should_be_accepted) return "is refused";
  if (outcome == Outcome::right && !should_be_accepted) return "is accepted";
  return {};
}

}  // namespace

Tally::Tally(std::string file, std::string function, std::span<const Known> known)
    : file_(std::move(file)), function_(std::move(function)) {
  std::copy_if(known.begin(), known.end(), std::back_inserter(known_),
               [&](const Known& k) { return k.file == file_ && k.function == function_; });
}

void Tally::add(const Vector& vector, Outcome outcome, bool accepts) {
  if (outcome == Outcome::not_ours) {
    ++not_ours_;
    return;
  }
  const bool acceptable = vector.verdict() == Verdict::acceptable;
  const bool valid = vector.verdict() == Verdict::valid;
  Count& count = acceptable ? acceptable_ : valid ? valid_ : invalid_;
  ++count.run;
  if (outcome != Outcome::refused) ++count.accepted;
  const std::string_view fault = fault_of(outcome, valid || (acceptable && accepts));
  if (fault.empty() || excuse(vector.id())) return;
  faults_.push_back(fmt::format("{}, {}: {} {}", file_, function_, vector.describe(), fault));
}

bool Tally::excuse(int id) {
  const auto found =
      std::find_if(known_.begin(), known_.end(), [&](const Known& k) { return k.id == id; });
  if (found == known_.end()) return false;
  known_.erase(found);
  ++excused_;
  return true;
}

std::vector<std::string> Tally::faults() const {
  std::vector<std::string> out = faults_;
  if (valid_.run + acceptable_.run + invalid_.run == 0) {
    out.push_back(fmt::format("{}, {}: no vector was run", file_, function_));
  }
  for (const Known& known : known_) {
    out.push_back(fmt::format("{}, {}: tcId {} is known to disagree and does not: {}", file_,
                              function_, known.id, known.reason));
  }
  return out;
}

std::string Tally::summary() const {
  return fmt::format(
      "{}, {}: {} run ({} of {} valid accepted, {} of {} acceptable accepted, {} of {} invalid "
      "refused), {} not ours, {} known",
      file_, function_, valid_.run + acceptable_.run + invalid_.run, valid_.accepted, valid_.run,
      acceptable_.accepted, acceptable_.run, invalid_.run - invalid_.accepted, invalid_.run,
      not_ours_, excused_);
}

}  // namespace ckptseal::test
