// SPDX-License-Identifier: Apache-2.0
//
// docs/event-logs.md, "Parsed" and "Judged".
#include "fuzz.h"
#include "policies/event_changes.h"
#include "policies/event_judge.h"
#include "policies/event_log.h"
#include "policies/event_text.h"
#include "policies/prediction.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<EventLog> log = EventLog::parse(ByteView(data, size));
  if (!log.ok()) return 0;
  for (const LoggedEvent& event : log.value().events()) {
    for (const char character : describe(event)) require(character >= 0x20 && character < 0x7f);
    (void)judge(event);
  }
  for (unsigned pcr = 0; pcr < PcrSelection::count; ++pcr) {
    require(event_changes(log.value(), log.value(), pcr).empty());
  }
  Result<Prediction> prediction = Prediction::of_log(log.value());
  require(prediction.ok() == judge(log.value()).ok());
  if (!prediction.ok()) return 0;
  // With nothing replaced it is the replay.
  const PcrBank replayed = log.value().replay();
  const Result<PcrState> state = prediction.value().state(PcrSelection::standard());
  require(state.ok());
  for (const auto& [pcr, value] : state.value().pcrs) require(value == replayed[pcr]);
  (void)prediction.value().replace_command_line("quiet");
  (void)prediction.value().replace_unified_image(nullptr, UnifiedImage());
  (void)prediction.value().state(PcrSelection::standard());
  return 0;
}
