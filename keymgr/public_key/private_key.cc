// SPDX-License-Identifier: Apache-2.0
//
// Key files by OpenSSL. What it allocates for a key is freed at once by its functions that wipe;
// PEM is taken apart here, for its reader leaves pieces of the text in memory.
#include "keymgr/public_key/private_key.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "base/crypto.h"
#include "keymgr/public_key/openssl_internal.h"
#include "keymgr/public_key/openssl_memory.h"
#include "keymgr/public_key/secret_pem.h"

namespace ckptseal {
namespace {

using OwnedKeyInfo = Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>;
using OwnedEncryptedKey = Owned<X509_SIG, X509_SIG_free>;

constexpr std::string_view begin = "-----BEGIN ";
constexpr std::string_view end = "-----END ";
constexpr std::string_view dashes = "-----";
constexpr std::string_view spaces = " \t\r\n";

// All of a PrivateKeyInfo of X25519 (RFC 8410, section 7) before the scalar.
constexpr std::array<std::uint8_t, 16> x25519_prefix = {
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20};
constexpr std::size_t scalar_bytes = 32;

struct KeyFile {
  bool encrypted = false;
  Secret der;
};

Error unreadable(const std::string& what) {
  return {Code::integrity,
          fmt::format("{} holds no PKCS#8 private key that is sound: it is damaged or another kind "
                      "of file, so use another copy.",
                      what),
          take_openssl_code()};
}

Error other_kind(const std::string& what, std::string_view kind) {
  return {Code::usage,
          fmt::format("{} is {}, and only PKCS#8 is read: convert it with \"openssl pkcs8 -topk8 "
                      "-v2 aes-256-cbc -in OLD -out NEW\".",
                      what, kind),
          take_openssl_code()};
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(spaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

// Of PEM that "openssl pkcs8" converts.
bool is_older_form(std::string_view label) {
  return label == "RSA PRIVATE KEY" || label == "EC PRIVATE KEY" || label == "EC PARAMETERS";
}

// One block and nothing around it but white space.
Result<KeyFile> open_pem(std::string_view text, const std::string& what) {
  const std::size_t label_end = text.find(dashes, begin.size());
  if (label_end == std::string_view::npos) return unreadable(what);
  const std::string_view label = text.substr(begin.size(), label_end - begin.size());
  const bool encrypted = label == "ENCRYPTED PRIVATE KEY";
  if (is_older_form(label)) {
    return other_kind(what, fmt::format("PEM that begins with \"{}\"", label));
  }
  if (!encrypted && label != "PRIVATE KEY") return unreadable(what);
  const std::string last = fmt::format("{}{}{}", end, label, dashes);
  const std::size_t body = label_end + dashes.size();
  if (!text.ends_with(last) || text.size() < body + last.size()) return unreadable(what);
  CKPTSEAL_ASSIGN(std::optional<Secret> der,
                  decode_base64(text.substr(body, text.size() - body - last.size())));
  if (!der) return unreadable(what);
  return KeyFile{encrypted, *std::move(der)};
}

OwnedKeyInfo load_key_info(const Secret& der) {
  const unsigned char* at = der.view().data();
  OwnedKeyInfo out(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (out == nullptr || at != der.view().data() + der.size()) return nullptr;
  return out;
}

OwnedEncryptedKey load_encrypted(const Secret& der) {
  const unsigned char* at = der.view().data();
  OwnedEncryptedKey out(d2i_X509_SIG(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (out == nullptr || at != der.view().data() + der.size()) return nullptr;
  return out;
}

// RSAPrivateKey (RFC 8017) and ECPrivateKey (RFC 5915): a sequence that begins with version 0 or 1
// and an integer or an octet string, where PKCS#8 has the algorithm.
bool is_traditional(ByteView der) {
  ByteReader in(der);
  if (in.u8() != 0x30) return false;
  const std::uint8_t length = in.u8();
  if (length > 0x80) in.view(length & 0x7fU);
  const std::uint32_t version = in.u32();
  const bool rsa = version >> 8 == 0x020100 && (version & 0xff) == 0x02;
  const bool ec = version >> 8 == 0x020101 && (version & 0xff) == 0x04;
  return in.ok() && (rsa || ec);
}

Result<KeyFile> open_key_file(const Secret& file, const std::string& what) {
  prepare_openssl();
  const std::string_view text = trim(as_text(file.view()));
  if (text.starts_with(begin)) return open_pem(text, what);
  if (is_traditional(file.view())) return other_kind(what, "a private key of an older form");
  CKPTSEAL_ASSIGN(Secret der, Secret::copy_of(file.view()));
  if (load_key_info(der) != nullptr) return KeyFile{false, std::move(der)};
  if (load_encrypted(der) != nullptr) return KeyFile{true, std::move(der)};
  return unreadable(what);
}

Result<OwnedKeyInfo> decrypt(const Secret& der, const Secret* password, const std::string& what) {
  if (password == nullptr || password->size() == 0) {
    return Error{Code::usage, fmt::format("{} is encrypted: give its password.", what), 0};
  }
  const OwnedEncryptedKey encrypted = load_encrypted(der);
  if (encrypted == nullptr) return unreadable(what);
  const X509_ALGOR* scheme = nullptr;
  const ASN1_OBJECT* name = nullptr;
  X509_SIG_get0(encrypted.get(), &scheme, nullptr);
  X509_ALGOR_get0(&name, nullptr, nullptr, scheme);
  if (OBJ_obj2nid(name) != NID_pbes2) {
    return other_kind(what, "encrypted in an older way than PBES2");
  }
  const std::string_view text = as_text(password->view());
  OwnedKeyInfo out(PKCS8_decrypt(encrypted.get(), text.data(), static_cast<int>(text.size())));
  const std::uint32_t code = take_openssl_code();
  if (out == nullptr) {
    return Error{Code::policy,
                 fmt::format("The password of {} is wrong, or the file is damaged: try again, or "
                             "use another copy.",
                             what),
                 code};
  }
  return out;
}

// The public key of a file may have a compressed point; a key id is of the other form.
bool normalize(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "EC") != 1) return true;
  return EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                        "uncompressed") == 1;
}

// A file can name a public key that is not that of its private key, and then no slot would open.
bool fits_together(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "EC") != 1) return true;
  const OwnedKeyContext context = context_of(key);
  const bool fits = context != nullptr && EVP_PKEY_pairwise_check(context.get()) == 1;
  ERR_clear_error();
  return fits;
}

class KeyInMemory : public PrivateKeyOperation {
 public:
  KeyInMemory(OwnedKey key, KeyAlgorithm algorithm) : key_(std::move(key)), algorithm_(algorithm) {}

  Result<std::optional<Secret>> apply(ByteView input) override {
    if (algorithm_ == KeyAlgorithm::rsa_oaep) return decrypt_oaep(input);
    CKPTSEAL_ASSIGN(const PublicKey peer,
                    PublicKey::from_point(algorithm_, input, "An ephemeral key"));
    const OwnedKey loaded = load_public_key(peer.spki());
    if (loaded == nullptr) return openssl_error("Cannot load an ephemeral key");
    return agree(key_.get(), loaded.get(), algorithm_);
  }

 private:
  Result<std::optional<Secret>> decrypt_oaep(ByteView ciphertext) {
    const OwnedKeyContext context = context_of(key_.get());
    if (context == nullptr || EVP_PKEY_decrypt_init(context.get()) != 1 ||
        !choose_oaep(context.get())) {
      return openssl_error("Cannot prepare RSA-OAEP");
    }
    CKPTSEAL_ASSIGN(Secret out,
                    Secret::make(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get()))));
    std::size_t size = out.size();
    const bool fits = EVP_PKEY_decrypt(context.get(), out.mutable_view().data(), &size,
                                       ciphertext.data(), ciphertext.size()) == 1;
    wipe_stack_below();
    ERR_clear_error();
    if (!fits) return std::optional<Secret>();
    out.shrink(size);
    return std::optional<Secret>(std::move(out));
  }

  OwnedKey key_;
  KeyAlgorithm algorithm_;
};

}  // namespace

Result<bool> needs_password(const Secret& file, const std::string& what) {
  CKPTSEAL_ASSIGN(const KeyFile opened, open_key_file(file, what));
  return opened.encrypted;
}

Result<PublicKeyIdentity> read_private_key(const Secret& file, const Secret* password,
                                           const std::string& what) {
  CKPTSEAL_ASSIGN(const KeyFile opened, open_key_file(file, what));
  OwnedKeyInfo info;
  if (opened.encrypted) {
    CKPTSEAL_ASSIGN(info, decrypt(opened.der, password, what));
  } else {
    info = load_key_info(opened.der);
  }
  if (info == nullptr) return unreadable(what);
  OwnedKey key(EVP_PKCS82PKEY(info.get()));
  info.reset();
  wipe_stack_below();
  if (key == nullptr || !normalize(key.get())) return unreadable(what);
  CKPTSEAL_ASSIGN(PublicKey public_key, PublicKey::from_spki(spki_of(key.get()), what));
  if (!fits_together(key.get())) return unreadable(what);
  auto operation = std::make_unique<KeyInMemory>(std::move(key), public_key.algorithm());
  return PublicKeyIdentity(std::move(public_key), std::move(operation));
}

Result<Secret> make_private_key() {
  CKPTSEAL_ASSIGN(Secret der, Secret::make(x25519_prefix.size() + scalar_bytes));
  std::copy(x25519_prefix.begin(), x25519_prefix.end(), der.mutable_view().begin());
  CKPTSEAL_TRY(fill_random(der.mutable_view().subspan(x25519_prefix.size())));
  return secret_pem_encode("PRIVATE KEY", der);
}

}  // namespace ckptseal
