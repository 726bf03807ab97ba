// SPDX-License-Identifier: Apache-2.0
//
// The two keys of a host that has a PKCS #11 token and no TPM: one that what is sealed for the host
// is sealed for, and one that it signs with. docs/state.md, "token". Errors as in token_key.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "keymgr/pkcs11/token_key.h"

namespace ckptseal {

// Tells the keys of one host from those of others in the same token.
using HostTokenId = ByteArray<16>;

// CKA_ID of a host's keys.
Bytes storage_key_id(const HostTokenId& host);
Bytes signing_key_id(const HostTokenId& host);

struct HostTokenKeys {
  EcPoint storage_key;
  EcPoint signing_key;
};

struct HostTokenStep {
  std::string what;
  bool exists = false;
};

class Token;

// The token of a host, with its user logged in.
class HostToken {
 public:
  // To sign, or to make and remove keys. Code::usage also when the URI names a key.
  enum class Use : std::uint8_t { sign, change };
  static Result<HostToken> open(const TokenUri& uri, const HostTokenId& host, const AskPin& ask,
                                Use use);
  HostToken(HostToken&&) noexcept;
  ~HostToken();

  // At most 32 printable characters.
  const std::string& manufacturer() const;
  bool is_hardware() const;  // as it says itself

  Result<std::vector<HostTokenStep>> plan();
  // Makes the keys that are not there: P-256, not extractable, sensitive, each for one use. Half of
  // a pair, which an interrupted run leaves, goes first.
  Result<HostTokenKeys> make_keys();
  // Those that are there.
  Status remove_keys();
  // ECDSA P-256 by the signing key.
  Result<EcdsaSignature> sign(const Digest& digest);

 private:
  HostToken(std::unique_ptr<Token> token, const HostTokenId& host);

  std::unique_ptr<Token> token_;
  HostTokenId host_;
};

}  // namespace ckptseal
