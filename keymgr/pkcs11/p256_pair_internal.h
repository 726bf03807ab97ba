// SPDX-License-Identifier: Apache-2.0
//
// Key pairs of P-256 that ckpt-seal makes in a token, and signing with them. Errors as in
// token_key.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "keymgr/pkcs11/token_internal.h"

namespace ckptseal {

Error unusable_token(const Token& token, std::string_view why);

// Both halves; either may be missing.
struct P256Pair {
  std::vector<CK_OBJECT_HANDLE> public_keys;
  std::vector<CK_OBJECT_HANDLE> private_keys;
  bool whole() const { return public_keys.size() == 1 && private_keys.size() == 1; }
};

struct P256Template {
  Bytes id;  // CKA_ID
  std::string label;
  CK_ATTRIBUTE_TYPE use;         // the one use of the private key
  CK_ATTRIBUTE_TYPE public_use;  // and of the public key
};

Result<std::vector<CK_OBJECT_HANDLE>> find(Token& token, CK_OBJECT_CLASS kind, Bytes id);
Result<P256Pair> find_pair(Token& token, const Bytes& id);
// Not extractable, sensitive, of one use.
Status generate_pair(Token& token, const P256Template& wanted);
Status destroy_pair(Token& token, const P256Pair& pair);
// Code::failed when the token lets the key out of it.
Status check_kept(Token& token, CK_OBJECT_HANDLE private_key);
Result<EcPoint> p256_point(Token& token, CK_OBJECT_HANDLE public_key);
Result<EcdsaSignature> sign_p256(Token& token, CK_OBJECT_HANDLE private_key, const Digest& digest);

}  // namespace ckptseal
