// SPDX-License-Identifier: Apache-2.0
//
// From the objects of a token to a public key, and ECDH and RSA-OAEP with its private key.
#include "keymgr/pkcs11/token_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "keymgr/pkcs11/token_internal.h"
#include "keymgr/public_key/certificate.h"
#include "keymgr/public_key/identity.h"
#include "keymgr/refusals.h"

namespace ckptseal {
namespace {

// EC parameters, in DER: the names of the two curves (RFC 5480).
constexpr std::array<std::uint8_t, 10> p256 = {0x06, 0x08, 0x2a, 0x86, 0x48,
                                               0xce, 0x3d, 0x03, 0x01, 0x07};
constexpr std::array<std::uint8_t, 7> p384 = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};

struct TokenKey {
  PublicKey key;
  std::string label;
  Bytes id;  // CKA_ID, which its private key has, too; may be empty
};

std::string quoted(const Token& token, const TokenUri& uri) {
  return fmt::format("{} in the token \"{}\"", uri.name(), token.label());
}

Error cannot(const Token& token, const TokenUri& uri, std::string_view why) {
  return {Code::failed, fmt::format("{}: {}.", quoted(token, uri), why), 0};
}

Result<PublicKey> read_ec(Token& token, const TokenUri& uri, CK_OBJECT_HANDLE object) {
  CKPTSEAL_ASSIGN(const auto curve, token.attribute(object, CKA_EC_PARAMS));
  CKPTSEAL_ASSIGN(const auto point, token.attribute(object, CKA_EC_POINT));
  const auto is = [&](ByteView name) { return curve && same_bytes(*curve, name); };
  if (!point || (!is(p256) && !is(p384))) {
    return cannot(token, uri, "its curve is neither P-256 nor P-384; make a key of P-256");
  }
  const KeyAlgorithm algorithm = is(p256) ? KeyAlgorithm::ecdh_p256 : KeyAlgorithm::ecdh_p384;
  return PublicKey::from_point(algorithm, bare_ec_point(*point, point_size(algorithm)),
                               quoted(token, uri));
}

Result<PublicKey> read_rsa(Token& token, const TokenUri& uri, CK_OBJECT_HANDLE object) {
  CKPTSEAL_ASSIGN(const auto modulus, token.attribute(object, CKA_MODULUS));
  CKPTSEAL_ASSIGN(const auto exponent, token.attribute(object, CKA_PUBLIC_EXPONENT));
  if (!modulus || !exponent) return cannot(token, uri, "the token does not show its numbers");
  return PublicKey::from_rsa(*modulus, *exponent, quoted(token, uri));
}

Result<PublicKey> read_public_key(Token& token, const TokenUri& uri, CK_OBJECT_HANDLE object) {
  CKPTSEAL_ASSIGN(const auto type, token.number(object, CKA_KEY_TYPE));
  if (type == CKK_EC) return read_ec(token, uri, object);
  if (type == CKK_RSA) return read_rsa(token, uri, object);
  return cannot(token, uri, "it is neither an EC nor an RSA key; make a key of P-256");
}

// A certificate is held against the time when something is to be sealed for it.
using SealingTime = std::optional<std::uint64_t>;

Result<PublicKey> read_key_of_certificate(Token& token, const TokenUri& uri,
                                          CK_OBJECT_HANDLE object, SealingTime now) {
  CKPTSEAL_ASSIGN(const auto der, token.attribute(object, CKA_VALUE));
  if (!der) return cannot(token, uri, "the token does not show its certificate");
  const std::string what = fmt::format("The certificate of {}", quoted(token, uri));
  if (!now) return key_of_certificate(*der, what);
  CKPTSEAL_ASSIGN(Certificate certificate, read_certificate(*der, *now, what));
  return std::move(certificate.key);
}

// nullopt when the token has none that can be seen.
Result<std::optional<CK_OBJECT_HANDLE>> find_one(Token& token, const TokenUri& uri,
                                                 CK_OBJECT_CLASS kind) {
  CKPTSEAL_ASSIGN(const auto found, token.find_named(kind));
  if (found.size() > 1) {
    return Error{Code::usage,
                 fmt::format("{} are several keys: say which one with object= or id= in the URI.",
                             quoted(token, uri)),
                 0};
  }
  if (found.empty()) return std::optional<CK_OBJECT_HANDLE>();
  return std::optional<CK_OBJECT_HANDLE>(found.front());
}

Result<std::optional<TokenKey>> find_public_key(Token& token, const TokenUri& uri,
                                                SealingTime now) {
  CKPTSEAL_ASSIGN(std::optional<CK_OBJECT_HANDLE> object, find_one(token, uri, CKO_PUBLIC_KEY));
  const bool bare = object.has_value();
  if (!bare) {
    CKPTSEAL_ASSIGN(object, find_one(token, uri, CKO_CERTIFICATE));
    if (!object) return std::optional<TokenKey>();
  }
  CKPTSEAL_ASSIGN(PublicKey key, bare ? read_public_key(token, uri, *object)
                                      : read_key_of_certificate(token, uri, *object, now));
  CKPTSEAL_ASSIGN(const auto label, token.attribute(*object, CKA_LABEL));
  CKPTSEAL_ASSIGN(const auto id, token.attribute(*object, CKA_ID));
  return std::optional<TokenKey>(TokenKey{
      std::move(key), std::string(as_text(label.value_or(Bytes()))), id.value_or(Bytes())});
}

Error no_key(const Token& token, const TokenUri& uri, bool logged_in) {
  return {Code::usage,
          fmt::format("There is no {}{}: list what the token has, for example with pkcs11-tool -O, "
                      "and correct the URI.",
                      quoted(token, uri),
                      logged_in ? "" : " that shows its public key or certificate without a PIN"),
          0};
}

constexpr CK_MECHANISM_TYPE mechanism_of(KeyAlgorithm algorithm) {
  return algorithm == KeyAlgorithm::rsa_oaep ? CKM_RSA_PKCS_OAEP : CKM_ECDH1_DERIVE;
}

Error no_oaep(const Token& token, const TokenUri& uri) {
  return cannot(
      token, uri,
      "the token cannot do RSA-OAEP with SHA-256 (CKM_RSA_PKCS_OAEP); use a key of P-256");
}

Status check_mechanism(Token& token, const TokenUri& uri, KeyAlgorithm algorithm) {
  const bool rsa = algorithm == KeyAlgorithm::rsa_oaep;
  CKPTSEAL_ASSIGN(const bool can,
                  token.has_mechanism(mechanism_of(algorithm), rsa ? CKF_DECRYPT : CKF_DERIVE));
  if (can) return {};
  if (rsa) return no_oaep(token, uri);
  return cannot(token, uri, "the token cannot do ECDH (CKM_ECDH1_DERIVE); use another token");
}

// OAEP as docs/format.md has it. `parameters` must outlive what comes out.
CK_MECHANISM oaep(CK_RSA_PKCS_OAEP_PARAMS& parameters) {
  parameters = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, nullptr, 0};
  return {CKM_RSA_PKCS_OAEP, &parameters, sizeof parameters};
}

bool says_no_such_oaep(CK_RV code) {
  return code == CKR_ARGUMENTS_BAD || code == CKR_MECHANISM_INVALID ||
         code == CKR_MECHANISM_PARAM_INVALID;
}

// A list of mechanisms does not say with which hash, and what was sealed for a token that has
// another would be lost. To begin an encryption there tells, where the token can encrypt.
Status try_oaep(Token& token, const TokenUri& uri) {
  CKPTSEAL_ASSIGN(const auto object, find_one(token, uri, CKO_PUBLIC_KEY));
  if (!object) return {};
  CK_RSA_PKCS_OAEP_PARAMS parameters;
  CK_MECHANISM mechanism = oaep(parameters);
  const CK_RV code = token.functions().C_EncryptInit(token.session(), &mechanism, *object);
  if (says_no_such_oaep(code)) return no_oaep(token, uri);
  return {};
}

// The private key of `key`: by the id that both have, else as the URI names it.
Result<CK_OBJECT_HANDLE> find_private_key(Token& token, const TokenUri& uri, const TokenKey& key) {
  CK_OBJECT_CLASS kind = CKO_PRIVATE_KEY;
  Bytes id = key.id;
  std::vector<CK_OBJECT_HANDLE> found;
  if (id.empty()) {
    CKPTSEAL_ASSIGN(found, token.find_named(kind));
  } else {
    CKPTSEAL_ASSIGN(found,
                    token.find({{CKA_CLASS, &kind, sizeof kind}, {CKA_ID, id.data(), id.size()}}));
  }
  if (found.size() == 1) return found.front();
  return cannot(token, uri,
                found.empty() ? "the token has its public key and no private one with the same id"
                              : "several private keys have its id; give each its own");
}

// A token that is locked or gone is not asked again, and one whose PIN was wrong neither.
bool is_lasting(Code code) {
  return code == Code::policy || code == Code::locked || code == Code::unavailable;
}

Error too_much_work(const Token& token) {
  return {Code::failed,
          fmt::format("This file has more slots for the token \"{}\" than one run tries: open it "
                      "another way, or have it sealed anew.",
                      token.label()),
          0};
}

// As the user. However a login ends, there is no second one with that token in this run.
Status log_in_once(Token& token, const AskPin& ask, TokenRun& run) {
  TokenRun::One& known = run.tokens[token.id()];
  if (known.login_refused) return *known.login_refused;
  const Status done = token.log_in([&](const std::string& label) -> Result<Secret> {
    if (!known.pin) {
      CKPTSEAL_ASSIGN(known.pin, ask(label));
    }
    return Secret::copy_of(known.pin->view());
  });
  if (!done.ok()) known.login_refused = done.error();
  return done;
}

class KeyInToken : public PrivateKeyOperation {
 public:
  // Without a token it is reached when the key is needed.
  KeyInToken(TokenUri uri, TokenKey key, AskPin ask, std::shared_ptr<TokenRun> run,
             std::optional<Token> token)
      : uri_(std::move(uri)),
        key_(std::move(key)),
        ask_(std::move(ask)),
        run_(std::move(run)),
        reached_(std::move(token)) {}

  Result<std::optional<Secret>> apply(ByteView input) override {
    if (turned_away_) return *turned_away_;
    Result<std::optional<Secret>> out = use(input);
    // Before the next identity, or an approver of the user's, wants a token of the same module.
    if (reached_) reached_->unlock_module();
    if (!out.ok() && is_lasting(out.error().code)) turned_away_ = out.error();
    return out;
  }

 private:
  Result<std::optional<Secret>> use(ByteView input) {
    if (!reached_) {
      CKPTSEAL_ASSIGN(Token token, Token::open(uri_));
      reached_.emplace(std::move(token));
    }
    if (++run_->tokens[reached_->id()].tried > most_tried) return too_much_work(*reached_);
    CKPTSEAL_TRY(reached_->lock_module());
    CKPTSEAL_TRY(check_mechanism(*reached_, uri_, key_.key.algorithm()));
    CKPTSEAL_TRY(log_in_once(*reached_, ask_, *run_));
    CKPTSEAL_ASSIGN(const CK_OBJECT_HANDLE key, find_private_key(*reached_, uri_, key_));
    return key_.key.algorithm() == KeyAlgorithm::rsa_oaep ? decrypt(key, input)
                                                          : derive(key, input);
  }

  Result<std::optional<Secret>> derive(CK_OBJECT_HANDLE key, ByteView point);
  Result<std::optional<Secret>> read_value(CK_OBJECT_HANDLE object);
  Result<std::optional<Secret>> decrypt(CK_OBJECT_HANDLE key, ByteView ciphertext);
  Error refused(CK_RV code, std::string_view what, const char* right) const;

  TokenUri uri_;
  TokenKey key_;
  AskPin ask_;
  std::shared_ptr<TokenRun> run_;
  std::optional<Token> reached_;
  std::optional<Error> turned_away_;
};

Error KeyInToken::refused(CK_RV code, std::string_view what, const char* right) const {
  if (code == CKR_KEY_FUNCTION_NOT_PERMITTED || code == CKR_KEY_TYPE_INCONSISTENT) {
    return cannot(
        *reached_, uri_,
        fmt::format("its private key does not have the right {}; use a key that has", right));
  }
  return reached_->error(code, what);
}

// The shared secret is a session object that may be read: what is kept back is the private key.
Result<std::optional<Secret>> KeyInToken::derive(CK_OBJECT_HANDLE key, ByteView point) {
  Bytes peer(point.begin(), point.end());
  CK_ECDH1_DERIVE_PARAMS parameters = {CKD_NULL, 0, nullptr, peer.size(), peer.data()};
  CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &parameters, sizeof parameters};
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_GENERIC_SECRET;
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  CK_ULONG size = shared_secret_size(key_.key.algorithm());
  std::array<CK_ATTRIBUTE, 6> wanted = {{{CKA_CLASS, &kind, sizeof kind},
                                         {CKA_KEY_TYPE, &type, sizeof type},
                                         {CKA_TOKEN, &no, sizeof no},
                                         {CKA_SENSITIVE, &no, sizeof no},
                                         {CKA_EXTRACTABLE, &yes, sizeof yes},
                                         {CKA_VALUE_LEN, &size, sizeof size}}};
  CK_OBJECT_HANDLE secret = 0;
  const CK_RV code = reached_->functions().C_DeriveKey(reached_->session(), &mechanism, key,
                                                       wanted.data(), wanted.size(), &secret);
  if (code != CKR_OK) return refused(code, "key agreement", "to derive (CKA_DERIVE)");
  Result<std::optional<Secret>> value = read_value(secret);
  const CK_RV destroyed = reached_->functions().C_DestroyObject(reached_->session(), secret);
  // It would go with the session anyway.
  if (value.ok() && destroyed != CKR_OK) return reached_->error(destroyed, "forgetting a secret");
  return value;
}

Result<std::optional<Secret>> KeyInToken::read_value(CK_OBJECT_HANDLE object) {
  CKPTSEAL_ASSIGN(Secret value, Secret::make(shared_secret_size(key_.key.algorithm())));
  CK_ATTRIBUTE asked = {CKA_VALUE, value.mutable_view().data(), value.size()};
  const CK_RV code =
      reached_->functions().C_GetAttributeValue(reached_->session(), object, &asked, 1);
  if (code != CKR_OK) return reached_->error(code, "reading the shared secret");
  if (asked.ulValueLen != value.size()) {
    return cannot(*reached_, uri_, "its shared secret has a wrong length; use another token");
  }
  return std::optional<Secret>(std::move(value));
}

// What a token says of a ciphertext that does not fit differs from one to the next, so it is told
// by the operation and not by the code; that a token is gone is said nevertheless.
Result<std::optional<Secret>> KeyInToken::decrypt(CK_OBJECT_HANDLE key, ByteView ciphertext) {
  CK_RSA_PKCS_OAEP_PARAMS parameters;
  CK_MECHANISM mechanism = oaep(parameters);
  CK_RV code = reached_->functions().C_DecryptInit(reached_->session(), &mechanism, key);
  if (says_no_such_oaep(code)) return no_oaep(*reached_, uri_);
  if (code != CKR_OK) return refused(code, "decryption", "to decrypt (CKA_DECRYPT)");
  Bytes input(ciphertext.begin(), ciphertext.end());
  CKPTSEAL_ASSIGN(Secret out, Secret::make(input.size()));
  CK_ULONG size = out.size();
  code = reached_->functions().C_Decrypt(reached_->session(), input.data(), input.size(),
                                         out.mutable_view().data(), &size);
  if (code != CKR_OK) {
    Error error = reached_->error(code, "decryption");
    if (error.code == Code::unavailable) return error;
    return std::optional<Secret>();
  }
  if (size == 0 || size > out.size()) return std::optional<Secret>();
  out.shrink(size);
  return std::optional<Secret>(std::move(out));
}

class TokenIdentity : public Identity {
 public:
  TokenIdentity(TokenUri uri, AskPin ask, std::shared_ptr<TokenRun> run)
      : uri_(std::move(uri)), ask_(std::move(ask)), run_(std::move(run)) {}

  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override {
    if (slot.kind != static_cast<std::uint16_t>(SlotKind::public_key)) {
      return std::optional<Secret>();
    }
    if (turned_away_) return *turned_away_;
    if (!identity_) {
      const Status reached = reach();
      if (!reached.ok()) turned_away_ = reached.error();
      CKPTSEAL_TRY(reached);
    }
    return identity_->unwrap(slot, of);
  }

 private:
  Status reach() {
    CKPTSEAL_ASSIGN(Token token, Token::open(uri_));
    CKPTSEAL_ASSIGN(std::optional<TokenKey> key, find_public_key(token, uri_, std::nullopt));
    if (!key) {
      CKPTSEAL_TRY(log_in_once(token, ask_, *run_));
      CKPTSEAL_ASSIGN(key, find_public_key(token, uri_, std::nullopt));
    }
    if (!key) return no_key(token, uri_, true);
    PublicKey public_key = key->key;
    token.unlock_module();
    identity_.emplace(
        std::move(public_key),
        std::make_unique<KeyInToken>(uri_, std::move(*key), ask_, run_, std::move(token)));
    return {};
  }

  TokenUri uri_;
  AskPin ask_;
  std::shared_ptr<TokenRun> run_;
  std::optional<PublicKeyIdentity> identity_;
  std::optional<Error> turned_away_;
};

}  // namespace

Result<PublicKeyRecipient> token_recipient(const TokenUri& uri, std::uint64_t now) {
  CKPTSEAL_ASSIGN(Token token, Token::open(uri));
  CKPTSEAL_ASSIGN(std::optional<TokenKey> key, find_public_key(token, uri, now));
  if (!key) return no_key(token, uri, false);
  CKPTSEAL_TRY(check_mechanism(token, uri, key->key.algorithm()));
  if (key->key.algorithm() == KeyAlgorithm::rsa_oaep) CKPTSEAL_TRY(try_oaep(token, uri));
  RecipientName name{KeySource::token, {}, key->label.empty() ? uri.name() : key->label};
  return PublicKeyRecipient(std::move(key->key), std::move(name));
}

Result<KeyId> token_key_id(const TokenUri& uri) {
  CKPTSEAL_ASSIGN(Token token, Token::open(uri));
  CKPTSEAL_ASSIGN(const std::optional<TokenKey> key, find_public_key(token, uri, std::nullopt));
  if (!key) return no_key(token, uri, false);
  return key->key.id();
}

std::unique_ptr<Identity> token_identity(TokenUri uri, AskPin ask, std::shared_ptr<TokenRun> run) {
  return std::make_unique<TokenIdentity>(std::move(uri), std::move(ask), std::move(run));
}

std::unique_ptr<Identity> token_identity(TokenUri uri, PublicKey key, Bytes id, AskPin ask,
                                         std::shared_ptr<TokenRun> run) {
  TokenKey known{key, "", std::move(id)};
  return std::make_unique<PublicKeyIdentity>(
      std::move(key), std::make_unique<KeyInToken>(std::move(uri), std::move(known), std::move(ask),
                                                   std::move(run), std::nullopt));
}

}  // namespace ckptseal
