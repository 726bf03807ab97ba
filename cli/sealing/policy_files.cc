// SPDX-License-Identifier: Apache-2.0
#include "cli/sealing/policy_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/fd.h"
#include "keymgr/public_key/public_key.h"

namespace ckptseal {

Result<PolicyDocument> read_policy_file(const std::string& path) {
  constexpr std::size_t largest = 65536;
  CKPTSEAL_ASSIGN(const Bytes text, read_file(path, largest, fmt::format("the policy {}", path)));
  const std::string what = fmt::format("The policy {}", path);
  CKPTSEAL_ASSIGN(PolicyDocument document, parse_policy_document(as_text(text), what));
  CKPTSEAL_TRY(check_authorities(document.policy, what));
  return document;
}

Result<Policy> read_unlimited_policy_file(const std::string& path) {
  CKPTSEAL_ASSIGN(PolicyDocument document, read_policy_file(path));
  if (document.limits == UseLimits{}) return std::move(document.policy);
  return Error{
      Code::usage,
      fmt::format("The policy {} has a limit ({}), and limits are set when a checkpoint is "
                  "sealed: take it out of the file, and give --restores or --not-after "
                  "to seal or dump.",
                  path, fmt::join(limit_words(document.limits), ", ")),
      0};
}

Status check_authorities(const Policy& policy, const std::string& what) {
  for (const PolicyTerm& term : policy.terms) {
    if (const auto* any = std::get_if<AnyTerm>(&term)) {
      for (const Policy& branch : any->branches) CKPTSEAL_TRY(check_authorities(branch, what));
    }
    const auto* approvals = std::get_if<ApprovalTerm>(&term);
    const auto* online = std::get_if<OnlineTerm>(&term);
    if (approvals == nullptr && online == nullptr) continue;
    const EcPoint& key = approvals != nullptr ? approvals->key : online->key;
    ByteWriter point;
    point.u8(0x04).bytes(key.x).bytes(key.y);
    if (PublicKey::from_point(KeyAlgorithm::ecdh_p256, point.view(), what).ok()) continue;
    return Error{Code::usage,
                 fmt::format("{} is refused: the public_key of its {} is no key of P-256; take it "
                             "from the file that 'ckpt-seal authority init' wrote.",
                             what, approvals != nullptr ? "approvals" : "online approval"),
                 0};
  }
  return {};
}

}  // namespace ckptseal
