// SPDX-License-Identifier: Apache-2.0
//
// docs/policies.md, "Document".
#include "fuzz.h"
#include "policies/policy_document.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<PolicyDocument> read = parse_policy_document(as_text(ByteView(data, size)), "It");
  if (!read.ok()) return 0;
  const PolicyDocument& document = read.value();
  const std::string text = policy_document(document.policy, document.limits);
  const Result<PolicyDocument> again = parse_policy_document(text, "It");
  require(again.ok());
  require(policy_document(again.value().policy, again.value().limits) == text);
  require(!policy_words(document.policy).empty());
  return 0;
}
