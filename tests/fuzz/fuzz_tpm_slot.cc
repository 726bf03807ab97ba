// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "TPM slot".
#include "fuzz.h"
#include "keymgr/tpm2/slot.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<Tpm2Slot> slot = Tpm2Slot::parse(input, Checkpoint{});
  if (slot.ok()) require(same_bytes(slot.value().serialize(), input));
  return 0;
}
