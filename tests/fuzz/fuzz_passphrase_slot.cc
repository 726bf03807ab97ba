// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Passphrase slot".
#include "fuzz.h"
#include "keymgr/passphrase/passphrase.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<PassphraseSlot> slot = PassphraseSlot::parse(input);
  if (slot.ok()) require(same_bytes(slot.value().serialize(), input));
  return 0;
}
