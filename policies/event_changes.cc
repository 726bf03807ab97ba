// SPDX-License-Identifier: Apache-2.0
//
// The longest common subsequence of digests; what is not in it is gone or new.
#include "policies/event_changes.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "policies/event_text.h"

namespace ckptseal {
namespace {

using Events = std::vector<const LoggedEvent*>;

constexpr std::size_t largest_table = std::size_t{1} << 22;

Events events_of(const EventLog& log, unsigned pcr) {
  Events out;
  for (const LoggedEvent& event : log.events()) {
    if (event.pcr == pcr && event.extends()) out.push_back(&event);
  }
  return out;
}

bool same(const LoggedEvent* a, const LoggedEvent* b) { return a->digest == b->digest; }

// What both begin and end with is the same.
void trim(Events& a, Events& b) {
  const auto [a_first, b_first] = std::mismatch(a.begin(), a.end(), b.begin(), b.end(), same);
  a.erase(a.begin(), a_first);
  b.erase(b.begin(), b_first);
  while (!a.empty() && !b.empty() && same(a.back(), b.back())) {
    a.pop_back();
    b.pop_back();
  }
}

class Table {
 public:
  // How many events from a[i] and b[j] on can be kept.
  Table(const Events& a, const Events& b) : width_(b.size() + 1) {
    if ((a.size() + 1) > largest_table / width_) return;
    kept_.resize((a.size() + 1) * width_);
    for (std::size_t i = a.size(); i-- > 0;) {
      for (std::size_t j = b.size(); j-- > 0;) {
        at(i, j) = same(a[i], b[j]) ? at(i + 1, j + 1) + 1 : std::max(at(i + 1, j), at(i, j + 1));
      }
    }
  }
  bool made() const { return !kept_.empty(); }
  std::uint32_t& at(std::size_t i, std::size_t j) { return kept_[i * width_ + j]; }

 private:
  std::size_t width_;
  std::vector<std::uint32_t> kept_;
};

// Between two events that are the same: one in the place of another with the same words changed.
void tell(const Events& gone, const Events& added, std::vector<EventChange>& out) {
  std::vector<std::string> fresh;
  for (const LoggedEvent* event : added) fresh.push_back(describe(*event));
  const bool closely = gone.empty() || added.size() <= largest_table / gone.size();
  std::size_t told = 0;
  const auto tell_added = [&](std::size_t end) {
    for (; told < end; ++told) out.push_back({EventChange::Kind::added, fresh[told]});
  };
  for (const LoggedEvent* event : gone) {
    std::string words = describe(*event);
    const auto from = fresh.begin() + static_cast<std::ptrdiff_t>(told);
    const auto match = closely ? std::find(from, fresh.end(), words) : fresh.end();
    if (match == fresh.end()) {
      out.push_back({EventChange::Kind::gone, std::move(words)});
      continue;
    }
    tell_added(static_cast<std::size_t>(match - fresh.begin()));
    out.push_back({EventChange::Kind::changed, std::move(words)});
    ++told;
  }
  tell_added(fresh.size());
}

}  // namespace

std::string_view EventChange::word() const {
  switch (kind) {
    case Kind::gone:
      return "gone";
    case Kind::added:
      return "new";
    case Kind::changed:
      break;
  }
  return "changed";
}

std::vector<EventChange> event_changes(const EventLog& then, const EventLog& now, unsigned pcr) {
  Events a = events_of(then, pcr);
  Events b = events_of(now, pcr);
  trim(a, b);
  std::vector<EventChange> out;
  Table table(a, b);
  if (!table.made()) {
    tell(a, b, out);
    return out;
  }
  Events gone;
  Events added;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && same(a[i], b[j])) {
      tell(std::exchange(gone, {}), std::exchange(added, {}), out);
      ++i;
      ++j;
    } else if (j == b.size() || (i < a.size() && table.at(i + 1, j) >= table.at(i, j + 1))) {
      gone.push_back(a[i++]);
    } else {
      added.push_back(b[j++]);
    }
  }
  tell(gone, added, out);
  return out;
}

}  // namespace ckptseal
