// SPDX-License-Identifier: Apache-2.0
//
// The key of an authority: P-256, in a PKCS #11 token, for signing alone. It approves states of
// hosts (policies/approval.h), and never lives in software on a host that it approves. Errors as in
// token_key.h.
#pragma once

#include <memory>

#include "base/crypto.h"
#include "keymgr/pkcs11/token_key.h"

namespace ckptseal {

class Token;

class AuthorityKey {
 public:
  // The one private key that the URI names. Code::usage when it names none, or several.
  static Result<AuthorityKey> open(const TokenUri& uri, const AskPin& ask);
  // The same, made first when it is not there: the URI names its label (object=). `made` says so.
  static Result<AuthorityKey> open_or_make(const TokenUri& uri, const AskPin& ask, bool& made);
  AuthorityKey(AuthorityKey&&) noexcept;
  ~AuthorityKey();

  const EcPoint& point() const { return point_; }
  Result<EcdsaSignature> sign(const Digest& digest);

 private:
  AuthorityKey(std::unique_ptr<Token> token, unsigned long key, const EcPoint& point);

  std::unique_ptr<Token> token_;
  unsigned long private_key_;  // CK_OBJECT_HANDLE
  EcPoint point_;
};

}  // namespace ckptseal
