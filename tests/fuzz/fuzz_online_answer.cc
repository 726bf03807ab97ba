// SPDX-License-Identifier: Apache-2.0
//
// docs/policies.md, "Online approval".
#include "fuzz.h"
#include "policies/online_approval.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<OnlineAnswer> answer = OnlineAnswer::parse(input, "It");
  if (!answer.ok()) return 0;
  const Result<std::string> pem = answer.value().pem();
  require(pem.ok() && same_bytes(as_bytes(pem.value()), input));
  return 0;
}
