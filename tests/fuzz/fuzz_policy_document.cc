// SPDX-License-Identifier: Apache-2.0
//
// docs/policies.md, "Document".
#include "fuzz.h"
#include "policies/policy_document.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Policy> policy = parse_policy_document(as_text(ByteView(data, size)), "It");
  if (!policy.ok()) return 0;
  const std::string text = policy_document(policy.value());
  const Result<Policy> again = parse_policy_document(text, "It");
  require(again.ok());
  require(policy_document(again.value()) == text);
  require(!policy_words(policy.value()).empty());
  return 0;
}
