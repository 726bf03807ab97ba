// SPDX-License-Identifier: Apache-2.0
#include "keymgr/pkcs11/host_token.h"

#include <fmt/format.h>
#include <p11-kit/uri.h>

#include "keymgr/pkcs11/p256_pair_internal.h"

namespace ckptseal {
namespace {

// What is different between the two keys.
struct Role {
  const char* label;
  std::uint8_t number;
  CK_ATTRIBUTE_TYPE use;         // of the private key
  CK_ATTRIBUTE_TYPE public_use;  // of the public key
};
constexpr Role storage = {"ckpt-seal storage key", 1, CKA_DERIVE, CKA_DERIVE};
constexpr Role signing = {"ckpt-seal signing key", 2, CKA_SIGN, CKA_VERIFY};

Bytes id_of(const HostTokenId& host, const Role& role) {
  return ByteWriter().bytes(host).u8(role.number).take();
}

Result<EcPoint> find_or_make(Token& token, const HostTokenId& host, const Role& role) {
  const Bytes id = id_of(host, role);
  CKPTSEAL_ASSIGN(P256Pair pair, find_pair(token, id));
  if (!pair.whole()) {
    CKPTSEAL_TRY(destroy_pair(token, pair));
    CKPTSEAL_TRY(generate_pair(token, {id, role.label, role.use, role.public_use}));
    CKPTSEAL_ASSIGN(pair, find_pair(token, id));
    if (!pair.whole()) return unusable_token(token, "has lost a key that it just made");
  }
  CKPTSEAL_TRY(check_kept(token, pair.private_keys.front()));
  return p256_point(token, pair.public_keys.front());
}

bool names_a_key(const TokenUri& uri) {
  CK_ULONG count = 0;
  (void)p11_kit_uri_get_attributes(uri.get(), &count);
  return count != 0;
}

}  // namespace

Bytes storage_key_id(const HostTokenId& host) { return id_of(host, storage); }
Bytes signing_key_id(const HostTokenId& host) { return id_of(host, signing); }

HostToken::HostToken(std::unique_ptr<Token> token, const HostTokenId& host)
    : token_(std::move(token)), host_(host) {}
HostToken::HostToken(HostToken&&) noexcept = default;
HostToken::~HostToken() = default;

Result<HostToken> HostToken::open(const TokenUri& uri, const HostTokenId& host, const AskPin& ask,
                                  Use use) {
  if (names_a_key(uri)) {
    return Error{Code::usage,
                 fmt::format("{}: it names a key, and a host makes its own; leave object, id and "
                             "type out.",
                             uri.name()),
                 0};
  }
  CKPTSEAL_ASSIGN(Token opened, Token::open(uri, use == Use::change ? Token::Access::change
                                                                    : Token::Access::read));
  auto token = std::make_unique<Token>(std::move(opened));
  CKPTSEAL_ASSIGN(const bool signs, token->has_mechanism(CKM_ECDSA, CKF_SIGN));
  CKPTSEAL_ASSIGN(const bool agrees, token->has_mechanism(CKM_ECDH1_DERIVE, CKF_DERIVE));
  if (!signs || !agrees) return unusable_token(*token, "cannot sign by ECDSA and agree by ECDH");
  CKPTSEAL_TRY(token->log_in(ask));
  return HostToken(std::move(token), host);
}

const std::string& HostToken::manufacturer() const { return token_->manufacturer(); }
bool HostToken::is_hardware() const { return token_->is_hardware(); }

Result<std::vector<HostTokenStep>> HostToken::plan() {
  std::vector<HostTokenStep> out;
  for (const Role& role : {storage, signing}) {
    CKPTSEAL_ASSIGN(const P256Pair pair, find_pair(*token_, id_of(host_, role)));
    out.push_back({role.label, pair.whole()});
  }
  return out;
}

Result<HostTokenKeys> HostToken::make_keys() {
  HostTokenKeys out;
  CKPTSEAL_ASSIGN(out.storage_key, find_or_make(*token_, host_, storage));
  CKPTSEAL_ASSIGN(out.signing_key, find_or_make(*token_, host_, signing));
  return out;
}

Status HostToken::remove_keys() {
  for (const Role& role : {storage, signing}) {
    CKPTSEAL_ASSIGN(const P256Pair pair, find_pair(*token_, id_of(host_, role)));
    CKPTSEAL_TRY(destroy_pair(*token_, pair));
  }
  return {};
}

Result<EcdsaSignature> HostToken::sign(const Digest& digest) {
  CKPTSEAL_ASSIGN(const auto keys, find(*token_, CKO_PRIVATE_KEY, signing_key_id(host_)));
  if (keys.size() != 1) {
    return Error{Code::failed,
                 fmt::format("The token \"{}\" has no signing key of this host: name the right one "
                             "with 'ckpt-seal provision --hsm', or start anew with --remove.",
                             token_->label()),
                 0};
  }
  return sign_p256(*token_, keys.front(), digest);
}

}  // namespace ckptseal
