// SPDX-License-Identifier: Apache-2.0
//
// CKM_EC_KEY_PAIR_GEN and CKM_ECDSA (PKCS #11 2.40, "Elliptic Curve").
#include "keymgr/pkcs11/p256_pair_internal.h"

#include <fmt/format.h>

#include <array>

namespace ckptseal {
namespace {

constexpr std::array<std::uint8_t, 10> p256 = {0x06, 0x08, 0x2a, 0x86, 0x48,
                                               0xce, 0x3d, 0x03, 0x01, 0x07};

}  // namespace

Error unusable_token(const Token& token, std::string_view why) {
  return {Code::failed, fmt::format("The token \"{}\" {}; use another token.", token.label(), why),
          0};
}

Result<std::vector<CK_OBJECT_HANDLE>> find(Token& token, CK_OBJECT_CLASS kind, Bytes id) {
  return token.find({{CKA_CLASS, &kind, sizeof kind}, {CKA_ID, id.data(), id.size()}});
}

Result<P256Pair> find_pair(Token& token, const Bytes& id) {
  P256Pair out;
  CKPTSEAL_ASSIGN(out.public_keys, find(token, CKO_PUBLIC_KEY, id));
  CKPTSEAL_ASSIGN(out.private_keys, find(token, CKO_PRIVATE_KEY, id));
  return out;
}

// The private half first: what is left then opens and signs nothing.
Status destroy_pair(Token& token, const P256Pair& pair) {
  for (const auto* keys : {&pair.private_keys, &pair.public_keys}) {
    for (const CK_OBJECT_HANDLE key : *keys) {
      const CK_RV code = token.functions().C_DestroyObject(token.session(), key);
      if (code != CKR_OK) return token.error(code, "removing a key");
    }
  }
  return {};
}

Result<EcPoint> p256_point(Token& token, CK_OBJECT_HANDLE public_key) {
  CKPTSEAL_ASSIGN(const auto curve, token.attribute(public_key, CKA_EC_PARAMS));
  CKPTSEAL_ASSIGN(const auto value, token.attribute(public_key, CKA_EC_POINT));
  if (curve && value && same_bytes(*curve, p256)) {
    ByteReader in(bare_ec_point(*value, 65));
    const bool uncompressed = in.u8() == 0x04;
    const EcPoint point = {in.array<32>(), in.array<32>()};
    if (uncompressed && in.at_end()) return point;
  }
  return unusable_token(token, "has a key that is none of P-256");
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
  return unusable_token(token, "makes keys that can be taken out of it");
}

Status generate_pair(Token& token, const P256Template& wanted) {
  Bytes id = wanted.id;
  Bytes curve(p256.begin(), p256.end());
  std::string label = wanted.label;
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
    for_public.push_back(use(which, wanted.public_use));
  }
  for (const CK_ATTRIBUTE_TYPE which : {CKA_DERIVE, CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP}) {
    for_private.push_back(use(which, wanted.use));
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
  if (!kept.ok()) (void)destroy_pair(token, {{public_key}, {private_key}});
  return kept;
}

Result<EcdsaSignature> sign_p256(Token& token, CK_OBJECT_HANDLE private_key, const Digest& digest) {
  CK_MECHANISM mechanism = {CKM_ECDSA, nullptr, 0};
  CK_RV code = token.functions().C_SignInit(token.session(), &mechanism, private_key);
  if (code != CKR_OK) return token.error(code, "signing");
  Digest input = digest;
  EcdsaSignature signature{};
  CK_ULONG size = signature.size();
  code = token.functions().C_Sign(token.session(), input.data(), input.size(), signature.data(),
                                  &size);
  if (code != CKR_OK) return token.error(code, "signing");
  if (size != signature.size()) return unusable_token(token, "makes signatures of another length");
  return signature;
}

}  // namespace ckptseal
