// SPDX-License-Identifier: Apache-2.0
//
// docs/event-logs.md, "The state document".
#include "fuzz.h"
#include "policies/pcr_state.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<PcrState> state = PcrState::parse(as_text(ByteView(data, size)));
  if (!state.ok()) return 0;
  require(!state.value().pcrs.empty());
  const Result<PcrState> again = PcrState::parse(state.value().serialize());
  require(again.ok() && again.value().pcrs == state.value().pcrs);
  return 0;
}
