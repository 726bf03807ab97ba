// SPDX-License-Identifier: Apache-2.0
//
// docs/policies.md, "Encoding".
#include "fuzz.h"
#include "policies/policy_digest.h"
#include "policies/policy_document.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<Policy> policy = Policy::parse(input);
  if (!policy.ok()) return 0;
  require(same_bytes(policy.value().serialize(), input));
  const Checkpoint some{{1}, {2, 3}};
  const Digest digest = policy_digest(policy.value(), some);
  for (const PolicyPath& path : policy_paths(policy.value(), some)) {
    require(path_digest(path) == digest);
  }
  // The document says the same, though it may have the terms in another order.
  const Result<PolicyDocument> again = parse_policy_document(policy_document(policy.value()), "It");
  require(again.ok());
  return 0;
}
