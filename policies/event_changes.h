// SPDX-License-Identifier: Apache-2.0
//
// In which events of a PCR two boots differ, in words. For people: a PCR proves the digests, not
// the words (policies/event_judge.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policies/event_log.h"

namespace ckptseal {

struct EventChange {
  enum class Kind : std::uint8_t {
    gone,
    added,
    changed,  // the same words with another digest
  };
  Kind kind = Kind::gone;
  std::string event;  // as describe() of policies/event_text.h

  std::string_view word() const;  // "gone", "new", "changed"
};

// In the order of the logs. Events with the same digest are the same. Logs with thousands of
// different events in one PCR are not matched closely: then all between the first and the last
// difference is told.
std::vector<EventChange> event_changes(const EventLog& then, const EventLog& now, unsigned pcr);

}  // namespace ckptseal
