// SPDX-License-Identifier: Apache-2.0
//
// docs/policies.md, "Approval".
#include "fuzz.h"
#include "policies/approval.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<Approval> approval = Approval::read(input, "It");
  if (approval.ok()) require(same_bytes(as_bytes(approval.value().pem()), input));
  return 0;
}
