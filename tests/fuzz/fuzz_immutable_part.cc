// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Immutable part".
#include "fuzz.h"
#include "sealing/immutable_part.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<ImmutablePart> part = ImmutablePart::parse(input);
  if (part.ok()) require(same_bytes(part.value().serialize(), input));
  return 0;
}
