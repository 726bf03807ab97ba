// SPDX-License-Identifier: Apache-2.0
#include "keymgr/pkcs11/host_token.h"

#include <fmt/format.h>
#include <p11-kit/uri.h>

#include <algorithm>
#include <array>

#include "keymgr/pkcs11/token_internal.h"

namespace ckptseal {
namespace {

constexpr std::array<std::uint8_t, 10> p256 = {0x06, 0x08, 0x2a, 0x86, 0x48,
                                               0xce, 0x3d, 0x03, 0x01, 0x07};

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

Error weak(const Token& token, std::string_view why) {
  return {Code::failed, fmt::format("The token \"{}\" {}; use another token.", token.label(), why),
          0};
}

// Both halves; either may be missing.
struct Pair {
  std::vector<CK_OBJECT_HANDLE> public_keys;
  std::vector<CK_OBJECT_HANDLE> private_keys;
  bool whole() const { return public_keys.size() == 1 && private_keys.size() == 1; }
};

Result<std::vector<CK_OBJECT_HANDLE>> find(Token& token, CK_OBJECT_CLASS kind, Bytes id) {
  return token.find({{CKA_CLASS, &kind, sizeof kind}, {CKA_ID, id.data(), id.size()}});
}

Result<Pair> find_pair(Token& token, const Bytes& id) {
  Pair out;
  CKPTSEAL_ASSIGN(out.public_keys, find(token, CKO_PUBLIC_KEY, id));
  CKPTSEAL_ASSIGN(out.private_keys, find(token, CKO_PRIVATE_KEY, id));
  return out;
}

// The private half first: what is left then opens and signs nothing.
Status destroy(Token& token, const Pair& pair) {
  for (const auto* keys : {&pair.private_keys, &pair.public_keys}) {
    for (const CK_OBJECT_HANDLE key : *keys) {
      const CK_RV code = token.functions().C_DestroyObject(token.session(), key);
      if (code != CKR_OK) return token.error(code, "removing a key");
    }
  }
  return {};
}

Result<EcPoint> point_of(Token& token, CK_OBJECT_HANDLE public_key) {
  CKPTSEAL_ASSIGN(const auto curve, token.attribute(public_key, CKA_EC_PARAMS));
  CKPTSEAL_ASSIGN(const auto value, token.attribute(public_key, CKA_EC_POINT));
  if (curve && value && same_bytes(*curve, p256)) {
    ByteReader in(bare_ec_point(*value, 65));
    const bool uncompressed = in.u8() == 0x04;
    const EcPoint point = {in.array<32>(), in.array<32>()};
    if (uncompressed && in.at_end()) return point;
  }
  return weak(token, "has a key of this host that is no key of P-256");
}

// What was asked for is not always what a token makes.
Status check_kept(Token& token, CK_OBJECT_HANDLE private_key) {
  const auto has = [&](CK_ATTRIBUTE_TYPE type, CK_BBOOL wanted) -> Result<bool> {
    CKPTSEAL_ASSIGN(const auto value, token.attribute(private_key, type));
    return value && value->size() == 1 && (*value)[0] == wanted;
  };
  CKPTSEAL_ASSIGN(const bool sensitive, has(CKA_SENSITIVE, CK_TRUE));
  CKPTSEAL_ASSIGN(const bool kept, has(CKA_EXTRACTABLE, CK_FALSE));
  if (sensitive && kept) return {};
  return weak(token, "makes keys that can be taken out of it");
}

Status generate(Token& token, const Bytes& key_id, const Role& role) {
  Bytes id = key_id;
  Bytes curve(p256.begin(), p256.end());
  std::string label = role.label;
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  CK_KEY_TYPE type = CKK_EC;
  const auto flag = [](CK_ATTRIBUTE_TYPE which, CK_BBOOL& value) {
    return CK_ATTRIBUTE{which, &value, sizeof value};
  };
  const auto use = [&](CK_ATTRIBUTE_TYPE which, CK_ATTRIBUTE_TYPE the_one) {
    return flag(which, which == the_one ? yes : no);
  };
  std::vector<CK_ATTRIBUTE> for_public = {flag(CKA_TOKEN, yes),
                                          flag(CKA_PRIVATE, no),
                                          {CKA_KEY_TYPE, &type, sizeof type},
                                          {CKA_EC_PARAMS, curve.data(), curve.size()},
                                          {CKA_ID, id.data(), id.size()},
                                          {CKA_LABEL, label.data(), label.size()}};
  std::vector<CK_ATTRIBUTE> for_private = {flag(CKA_TOKEN, yes),
                                           flag(CKA_PRIVATE, yes),
                                           flag(CKA_SENSITIVE, yes),
                                           flag(CKA_EXTRACTABLE, no),
                                           {CKA_KEY_TYPE, &type, sizeof type},
                                           {CKA_ID, id.data(), id.size()},
                                           {CKA_LABEL, label.data(), label.size()}};
  for (const CK_ATTRIBUTE_TYPE which : {CKA_DERIVE, CKA_VERIFY, CKA_ENCRYPT, CKA_WRAP}) {
    for_public.push_back(use(which, role.public_use));
  }
  for (const CK_ATTRIBUTE_TYPE which : {CKA_DERIVE, CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP}) {
    for_private.push_back(use(which, role.use));
  }
  CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE public_key = 0;
  CK_OBJECT_HANDLE private_key = 0;
  const CK_RV code = token.functions().C_GenerateKeyPair(
      token.session(), &mechanism, for_public.data(), for_public.size(), for_private.data(),
      for_private.size(), &public_key, &private_key);
  if (code != CKR_OK) return token.error(code, "making a key of P-256");
  Status kept = check_kept(token, private_key);
  // What fails here is told, not what fails while it is taken back.
  if (!kept.ok()) (void)destroy(token, {{public_key}, {private_key}});
  return kept;
}

Result<EcPoint> find_or_make(Token& token, const HostTokenId& host, const Role& role) {
  const Bytes id = id_of(host, role);
  CKPTSEAL_ASSIGN(Pair pair, find_pair(token, id));
  if (!pair.whole()) {
    CKPTSEAL_TRY(destroy(token, pair));
    CKPTSEAL_TRY(generate(token, id, role));
    CKPTSEAL_ASSIGN(pair, find_pair(token, id));
    if (!pair.whole()) return weak(token, "has lost a key that it just made");
  }
  CKPTSEAL_TRY(check_kept(token, pair.private_keys.front()));
  return point_of(token, pair.public_keys.front());
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
  if (!signs || !agrees) return weak(*token, "cannot sign by ECDSA and agree by ECDH");
  CKPTSEAL_TRY(token->log_in(ask));
  return HostToken(std::move(token), host);
}

const std::string& HostToken::manufacturer() const { return token_->manufacturer(); }
bool HostToken::is_hardware() const { return token_->is_hardware(); }

Result<std::vector<HostTokenStep>> HostToken::plan() {
  std::vector<HostTokenStep> out;
  for (const Role& role : {storage, signing}) {
    CKPTSEAL_ASSIGN(const Pair pair, find_pair(*token_, id_of(host_, role)));
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
    CKPTSEAL_ASSIGN(const Pair pair, find_pair(*token_, id_of(host_, role)));
    CKPTSEAL_TRY(destroy(*token_, pair));
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
  CK_MECHANISM mechanism = {CKM_ECDSA, nullptr, 0};
  CK_RV code = token_->functions().C_SignInit(token_->session(), &mechanism, keys.front());
  if (code != CKR_OK) return token_->error(code, "signing");
  Digest input = digest;
  EcdsaSignature signature{};
  CK_ULONG size = signature.size();
  code = token_->functions().C_Sign(token_->session(), input.data(), input.size(), signature.data(),
                                    &size);
  if (code != CKR_OK) return token_->error(code, "signing");
  if (size != signature.size()) return weak(*token_, "makes signatures of another length");
  return signature;
}

}  // namespace ckptseal
