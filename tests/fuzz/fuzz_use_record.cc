// SPDX-License-Identifier: Apache-2.0
//
// docs/state.md, "uses".
#include "fuzz.h"
#include "policies/use_record.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

void try_it(ByteView input) {
  Result<UseRecord> record = UseRecord::parse(input, "It");
  if (!record.ok()) return;
  require(same_bytes(record.value().serialize(), input));
  if (record.value().count({}, 2, record.value().since()).ok()) {
    require(UseRecord::parse(record.value().serialize(), "It").ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  try_it(input);
  try_it(with_checksum(input, size + 32));
  return 0;
}
