// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Recovery key slot".
#include "fuzz.h"
#include "keymgr/recovery/recovery.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<RecoverySlot> slot = RecoverySlot::parse(input);
  if (slot.ok()) require(same_bytes(slot.value().serialize(), input));
  return 0;
}
