// SPDX-License-Identifier: Apache-2.0
//
// docs/state.md, "tpm/opened/", without the checksum at its end.
#include "base/crypto.h"
#include "fuzz.h"
#include "policies/opened_states.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView body(data, size);
  const Bytes content = ByteWriter().bytes(body).bytes(Sha256::of(body)).take();
  OpenedStates states(content);
  // Empty, or one encoding.
  const Bytes empty = OpenedStates{ByteView()}.serialize();
  const Bytes again = states.serialize();
  require(again == content || again == empty);
  OpenedState opened;
  opened.time = 1;
  opened.pcrs.pcrs = {{4, Digest{}}};
  states.remember(OpenedStates::Id{1}, opened);
  const auto found = OpenedStates(states.serialize()).find(OpenedStates::Id{1});
  require(found && found->pcrs.pcrs == opened.pcrs.pcrs && !found->log);
  require(states.serialize().size() <= OpenedStates::largest_file);
  return 0;
}
