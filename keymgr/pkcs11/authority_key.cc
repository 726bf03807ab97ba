// SPDX-License-Identifier: Apache-2.0
#include "keymgr/pkcs11/authority_key.h"

#include <fmt/format.h>
#include <p11-kit/uri.h>

#include <optional>
#include <string>
#include <utility>

#include "keymgr/pkcs11/p256_pair_internal.h"

namespace ckptseal {
namespace {

// CKA_LABEL of the URI (object=).
std::optional<std::string> label_of(const TokenUri& uri) {
  const CK_ATTRIBUTE* label = p11_kit_uri_get_attribute(uri.get(), CKA_LABEL);
  if (label == nullptr || label->pValue == nullptr) return std::nullopt;
  return std::string(static_cast<const char*>(label->pValue), label->ulValueLen);
}

Result<Token> open_token(const TokenUri& uri, const AskPin& ask, Token::Access access) {
  CKPTSEAL_ASSIGN(Token token, Token::open(uri, access));
  CKPTSEAL_ASSIGN(const bool signs, token.has_mechanism(CKM_ECDSA, CKF_SIGN));
  if (!signs) return unusable_token(token, "cannot sign by ECDSA");
  CKPTSEAL_TRY(token.log_in(ask));
  return token;
}

// The public half has the same CKA_ID.
Result<EcPoint> public_point(Token& token, CK_OBJECT_HANDLE private_key) {
  CKPTSEAL_ASSIGN(const auto id, token.attribute(private_key, CKA_ID));
  if (id && !id->empty()) {
    CKPTSEAL_ASSIGN(const P256Pair pair, find_pair(token, *id));
    if (pair.whole()) return p256_point(token, pair.public_keys.front());
  }
  return unusable_token(token, "has no public key of the same id beside this private key");
}

Error not_one_key(const TokenUri& uri, std::size_t count) {
  return {Code::usage,
          fmt::format("{} names {} private keys: name one, by object or id; 'ckpt-seal authority "
                      "init' makes it.",
                      uri.name(), count == 0 ? "no" : "several"),
          0};
}

}  // namespace

AuthorityKey::AuthorityKey(std::unique_ptr<Token> token, unsigned long key, const EcPoint& point)
    : token_(std::move(token)), private_key_(key), point_(point) {}
AuthorityKey::AuthorityKey(AuthorityKey&&) noexcept = default;
AuthorityKey::~AuthorityKey() = default;

Result<AuthorityKey> AuthorityKey::open(const TokenUri& uri, const AskPin& ask) {
  CKPTSEAL_ASSIGN(Token opened, open_token(uri, ask, Token::Access::read));
  auto token = std::make_unique<Token>(std::move(opened));
  CKPTSEAL_ASSIGN(const auto keys, token->find_named(CKO_PRIVATE_KEY));
  if (keys.size() != 1) return not_one_key(uri, keys.size());
  CKPTSEAL_TRY(check_kept(*token, keys.front()));
  CKPTSEAL_ASSIGN(const EcPoint point, public_point(*token, keys.front()));
  return AuthorityKey(std::move(token), keys.front(), point);
}

Result<AuthorityKey> AuthorityKey::open_or_make(const TokenUri& uri, const AskPin& ask,
                                                bool& made) {
  made = false;
  const std::optional<std::string> label = label_of(uri);
  if (!label || label->empty()) {
    return Error{Code::usage,
                 fmt::format("{} does not name the key: add object=LABEL to the URI.", uri.name()),
                 0};
  }
  CKPTSEAL_ASSIGN(Token opened, open_token(uri, ask, Token::Access::change));
  auto token = std::make_unique<Token>(std::move(opened));
  CKPTSEAL_ASSIGN(auto keys, token->find_named(CKO_PRIVATE_KEY));
  if (keys.empty()) {
    CKPTSEAL_ASSIGN(const auto id, random_array<16>());
    CKPTSEAL_TRY(
        generate_pair(*token, {Bytes(id.begin(), id.end()), *label, CKA_SIGN, CKA_VERIFY}));
    CKPTSEAL_ASSIGN(keys, token->find_named(CKO_PRIVATE_KEY));
    made = true;
  }
  if (keys.size() != 1) return not_one_key(uri, keys.size());
  CKPTSEAL_TRY(check_kept(*token, keys.front()));
  CKPTSEAL_ASSIGN(const EcPoint point, public_point(*token, keys.front()));
  return AuthorityKey(std::move(token), keys.front(), point);
}

Result<EcdsaSignature> AuthorityKey::sign(const Digest& digest) {
  return sign_p256(*token_, private_key_, digest);
}

}  // namespace ckptseal
