// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Slots", the frame.
#include "fuzz.h"
#include "sealing/slots.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<std::vector<Slot>> slots = parse_slots(input);
  if (!slots.ok()) return 0;
  require(same_bytes(serialize_slots(slots.value()), input));
  require(slot_list_of(slots.value()).size() == slots.value().size() * 32);
  return 0;
}
