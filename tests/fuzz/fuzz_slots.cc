// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Slots". The first byte of the input chooses the suite.
#include "fuzz.h"
#include "sealing/header.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (size == 0) return 0;
  const auto suite = static_cast<Suite>(data[0] % 4 + 1);
  const Result<std::vector<Slot>> slots = parse_slots(input.subspan(1), suite);
  if (slots.ok()) require(same_bytes(serialize_slots(slots.value()), input.subspan(1)));
  return 0;
}
