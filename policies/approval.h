// SPDX-License-Identifier: Apache-2.0
//
// An approval: an authority's signed word that the hosts of a domain may be in one more state.
// docs/policies.md, "Approval". Pure: no TPM, no clock, no files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/crypto.h"
#include "base/result.h"
#include "policies/pcr.h"
#include "policies/policy.h"

namespace ckptseal {

// What is approved, by whom, and until when. Times are seconds since 1970-01-01 UTC.
struct ApprovalStatement {
  ApprovalTerm term;  // its purpose is restore
  PcrValues pcrs;
  std::optional<EpochTerm> epoch;  // to the TPM it holds until the counter is above this
  std::uint64_t created = 0;
  std::uint64_t expires = 0;  // 0: never
  std::string label;          // for people
};

// An approval whose signatures were verified. There is no other way to get one.
class Approval {
 public:
  // `what` names the file in errors: "The approval kernel.approval". Code::integrity: damaged,
  // altered or not signed by the key that it names. Whether that key is the right one and the time
  // is over is for the caller.
  static Result<Approval> read(ByteView pem, const std::string& what);
  // Signs, and reads back. Code::usage when the statement cannot be; a signer that signs with
  // another key than the statement's is Code::failed.
  static Result<Approval> sign(const ApprovalStatement& statement, const DigestSigner& signer);

  const ApprovalStatement& statement() const { return statement_; }
  const std::string& pem() const { return pem_; }
  // What the TPM is shown: the digest of a policy of the PCRs, and the epoch if there is one.
  const Digest& approved() const { return approved_; }
  // What the release signature is over: the aHash of TPM2_PolicyAuthorize.
  Digest release_hash() const;
  const EcdsaSignature& release_signature() const { return release_; }
  bool expired(std::uint64_t now) const {
    return statement_.expires != 0 && now >= statement_.expires;
  }

 private:
  Approval() = default;

  ApprovalStatement statement_;
  Digest approved_{};
  EcdsaSignature release_{};
  std::string pem_;
};

inline constexpr std::size_t largest_approval_file = 8192;

}  // namespace ckptseal
