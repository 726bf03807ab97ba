// SPDX-License-Identifier: Apache-2.0
//
// Walks each path of the policy as the TPM would.
#include "policies/forecast.h"

#include <algorithm>
#include <set>
#include <utility>

#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

using Verdict = Forecast::Verdict;

struct Compared {
  std::set<unsigned> differing;
  std::set<unsigned> unknown;
};

void compare(const PcrValues& wanted, const PcrState& state, Compared& out) {
  const std::vector<unsigned> indices = wanted.selection.indices();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto at = state.pcrs.find(indices[i]);
    if (at == state.pcrs.end()) {
      out.unknown.insert(indices[i]);
    } else if (at->second != wanted.values[i]) {
      out.differing.insert(indices[i]);
    }
  }
}

// A counter at another index is not this host's.
bool epoch_holds(const EpochTerm& wanted, const ForeseenState& state) {
  return wanted.index == state.epoch.index && state.epoch.at_most <= wanted.at_most;
}

std::vector<unsigned> list(const std::set<unsigned>& pcrs) { return {pcrs.begin(), pcrs.end()}; }

// The best of the path with one approval, or with none if it wants none.
Forecast walk(const PolicyPath& path, const Approval* approval, const ForeseenState& state) {
  Compared compared;
  Forecast out;
  out.verdict = Verdict::opens;
  bool revoked = false;
  for (const PolicyStep& step : path) {
    if (const auto* term = std::get_if<PcrTerm>(&step)) compare(term->pcrs, state.pcrs, compared);
    if (const auto* term = std::get_if<EpochTerm>(&step)) revoked |= !epoch_holds(*term, state);
    if (std::holds_alternative<PinTerm>(step)) {
      out.verdict = std::max(out.verdict, Verdict::opens_with_pin);
    }
    if (std::holds_alternative<OnlineStep>(step)) out.verdict = Verdict::opens_with_answer;
  }
  if (revoked) return {Verdict::revoked, {}, std::nullopt};
  if (!compared.differing.empty()) {
    return {Verdict::other_pcrs, list(compared.differing), std::nullopt};
  }
  if (approval != nullptr) {
    const ApprovalStatement& statement = approval->statement();
    Compared approved;
    compare(statement.pcrs, state.pcrs, approved);
    const bool ended = statement.epoch && !epoch_holds(*statement.epoch, state);
    if (ended || !approved.differing.empty()) {
      return {Verdict::not_approved, list(approved.differing), statement.term};
    }
    compared.unknown.merge(approved.unknown);
  }
  if (!compared.unknown.empty()) return {Verdict::unknown, list(compared.unknown), std::nullopt};
  return out;
}

bool better(const Forecast& a, const Forecast& b) {
  if (a.verdict != b.verdict) return a.verdict < b.verdict;
  return a.pcrs.size() < b.pcrs.size();
}

}  // namespace

Forecast forecast(const Policy& policy, const ForeseenState& state,
                  const std::vector<Approval>& approvals) {
  Forecast best;
  const auto consider = [&best](Forecast other) {
    if (better(other, best)) best = std::move(other);
  };
  for (const PolicyPath& path : policy_paths(policy, Checkpoint{})) {
    const auto* wanted = path.empty() ? nullptr : std::get_if<ApprovalTerm>(&path.front());
    if (wanted == nullptr) {
      consider(walk(path, nullptr, state));
      continue;
    }
    if (wanted->purpose != ApprovalPurpose::restore) continue;
    // With an approval of that very state: what else stands in the way of this path?
    Forecast without = walk(path, nullptr, state);
    const bool curable = without.verdict <= Verdict::unknown;
    bool any = false;
    for (const Approval& approval : approvals) {
      if (approval.statement().term != *wanted) continue;
      any = true;
      consider(walk(path, &approval, state));
    }
    if (!curable) {
      consider(std::move(without));
    } else if (!any) {
      consider({Verdict::not_approved, {}, *wanted});
    }
  }
  return best;
}

std::string_view verdict_word(Verdict verdict) {
  constexpr std::string_view words[] = {"opens",   "opens_with_pin", "opens_with_answer",
                                        "unknown", "not_approved",   "other_pcrs",
                                        "revoked", "never"};
  return words[static_cast<std::size_t>(verdict)];
}

}  // namespace ckptseal
