// SPDX-License-Identifier: Apache-2.0
//
// What a slot under online approval asks while it is opened, and what it gets for an answer: one
// opening of one object, in one session of one TPM. docs/policies.md, "Online approval". Pure: no
// TPM, no clock, no processes.
#pragma once

#include <cstdint>
#include <string>

#include "base/crypto.h"
#include "base/result.h"
#include "policies/checkpoint.h"
#include "policies/tpm_public.h"

namespace ckptseal {

struct OnlineRequest {
  EcPoint key;  // of who is asked; whether it is on the curve is for who uses it
  Checkpoint checkpoint;
  TpmName object{};  // Name of the slot's object: 000b, SHA-256
  Digest nonce{};    // nonceTPM of the session
  std::string who;   // 0 to 255 printable characters; nobody vouches for it

  // `what` names the input in errors: "The request x". Code::integrity for anything but what pem()
  // writes.
  static Result<OnlineRequest> parse(ByteView pem, const std::string& what);
  // Code::usage when a field has a value that it cannot have.
  Result<std::string> pem() const;

  // SHA-256 of what the PEM holds: what an answer names.
  Digest fingerprint() const;
  // aHash of TPM2_PolicySigned for TPM2_Unseal of that object in that session, for so many seconds.
  Digest to_sign(std::uint32_t expiration) const;
};

struct OnlineAnswer {
  Digest request{};              // its fingerprint
  std::uint32_t expiration = 0;  // seconds since the session began, 1 to longest_expiration
  EcdsaSignature signature{};

  // As those of a request.
  static Result<OnlineAnswer> parse(ByteView pem, const std::string& what);
  Result<std::string> pem() const;
  // Code::usage when it cannot expire then; a signer that signs with another key than the request's
  // is Code::failed.
  static Result<OnlineAnswer> sign(const OnlineRequest& asked, std::uint32_t expiration,
                                   const DigestSigner& signer);

  // Code::revoked when it is for another request, Code::integrity when it is not signed by whom was
  // asked.
  Status check(const OnlineRequest& asked) const;

  static constexpr std::uint32_t longest_expiration = 3600;
};

// cpHash of TPM2_Unseal, which has no parameters (TPM 2.0 Part 1, "Command Parameter Hash").
Digest unseal_command(const TpmName& object);

inline constexpr std::size_t largest_online_message = 4096;  // PEM

}  // namespace ckptseal
