// SPDX-License-Identifier: Apache-2.0
//
// Test keys and certificates by OpenSSL.
#include "public_key_support.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

#include <stdexcept>

#include "keymgr/public_key/x509_internal.h"

namespace ckptseal::test {
namespace {

using OwnedExtension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using OwnedTime = Owned<ASN1_TIME, ASN1_TIME_free>;
using OwnedInteger = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;
using OwnedRevoked = Owned<X509_REVOKED, X509_REVOKED_free>;
using OwnedKeyInfo = Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>;

void require(bool done) {
  if (!done) throw std::runtime_error("OpenSSL could not make a test's key or certificate");
}

std::string text_in(BIO* memory) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  require(size > 0);
  return {text, static_cast<std::size_t>(size)};
}

template <typename Write>
std::string written(const Write& write) {
  const OwnedBio out(BIO_new(BIO_s_mem()));
  require(out != nullptr && write(out.get()) == 1);
  return text_in(out.get());
}

EVP_PKEY* generate(const std::string& kind, unsigned bits) {
  if (kind == "RSA") return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{bits});
  if (kind.starts_with("P-")) return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
  if (kind != "RSA-PSS") return EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str());
  const OwnedKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA-PSS", nullptr));
  EVP_PKEY* key = nullptr;
  require(EVP_PKEY_keygen_init(context.get()) == 1 &&
          EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), static_cast<int>(bits)) == 1 &&
          EVP_PKEY_generate(context.get(), &key) == 1);
  return key;
}

void set_name(X509_NAME* name, const std::string& text) {
  require(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, as_bytes(text).data(), -1, -1, 0) ==
          1);
}

OwnedTime time_at(std::uint64_t seconds) {
  return OwnedTime(ASN1_TIME_set(nullptr, static_cast<time_t>(seconds)));
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const OwnedExtension extension(X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  require(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

// A private extension, critical, that holds NULL.
void add_unknown_extension(X509* certificate, const std::string& oid) {
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> name(OBJ_txt2obj(oid.c_str(), 1));
  const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
  const unsigned char null_value[] = {0x05, 0x00};
  require(ASN1_OCTET_STRING_set(value.get(), null_value, 2) == 1);
  const OwnedExtension extension(X509_EXTENSION_create_by_OBJ(nullptr, name.get(), 1, value.get()));
  require(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

const EVP_MD* digest_for(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256();
}

}  // namespace

TestKey::TestKey(const std::string& kind, unsigned bits) : key_(generate(kind, bits)) {
  require(key_ != nullptr);
}

Bytes TestKey::spki() const { return spki_of(key_.get()); }

Bytes TestKey::spki_with(const char* parameter, const char* value) const {
  const OwnedKey copy(EVP_PKEY_dup(key_.get()));
  require(EVP_PKEY_set_utf8_string_param(copy.get(), parameter, value) == 1);
  return spki_of(copy.get());
}

Bytes TestKey::pkcs8() const {
  const OwnedKeyInfo info(EVP_PKEY2PKCS8(key_.get()));
  return bytes_of(written([&](BIO* out) { return i2d_PKCS8_PRIV_KEY_INFO_bio(out, info.get()); }));
}

std::string TestKey::pkcs8_pem() const {
  return written([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string TestKey::encrypted_pem(const std::string& password) const {
  return written([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key_.get(), EVP_aes_256_cbc(), password.data(),
                                         static_cast<int>(password.size()), nullptr, nullptr);
  });
}

Bytes TestKey::encrypted_der(const std::string& password) const {
  return bytes_of(written([&](BIO* out) {
    return i2d_PKCS8PrivateKey_bio(out, key_.get(), EVP_aes_256_cbc(), password.data(),
                                   static_cast<int>(password.size()), nullptr, nullptr);
  }));
}

std::string TestKey::old_encrypted_pem(const std::string& password) const {
  return written([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey_nid(
        out, key_.get(), NID_pbe_WithSHA1And3_Key_TripleDES_CBC, password.data(),
        static_cast<int>(password.size()), nullptr, nullptr);
  });
}

std::string TestKey::traditional_pem() const {
  return written([&](BIO* out) {
    return PEM_write_bio_PrivateKey_traditional(out, key_.get(), nullptr, nullptr, 0, nullptr,
                                                nullptr);
  });
}

Bytes TestKey::traditional_der() const { return der_of(traditional_pem()); }

TestAuthority::TestAuthority(const std::string& name, const TestAuthority* issuer)
    : name_(name), key_("P-256") {
  CertificatePlan plan;
  plan.name = name;
  plan.from = some_day - 100 * one_day;
  plan.until = some_day + 100 * one_day;
  plan.key_usage = "critical,keyCertSign,cRLSign";
  plan.authority = true;
  plan.serial = 1000;
  pem_ = sign(key_, plan, issuer);
}

std::string TestAuthority::issue(const TestKey& key, const CertificatePlan& plan) const {
  return sign(key, plan, this);
}

std::string TestAuthority::sign(const TestKey& key, const CertificatePlan& plan,
                                const TestAuthority* issuer) const {
  const OwnedCertificate out(X509_new());
  const OwnedCertificate above =
      issuer == nullptr ? nullptr : load_certificate(der_of(issuer->pem_));
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), plan.serial);
  X509_set1_notBefore(out.get(), time_at(plan.from).get());
  X509_set1_notAfter(out.get(), time_at(plan.until).get());
  set_name(X509_get_subject_name(out.get()), plan.name);
  set_name(X509_get_issuer_name(out.get()), issuer == nullptr ? name_ : issuer->name_);
  require(X509_set_pubkey(out.get(), key.get()) == 1);
  add_extension(out.get(), out.get(), NID_basic_constraints,
                plan.authority ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(out.get(), out.get(), NID_subject_key_identifier, "hash");
  X509* vouching = above == nullptr ? out.get() : above.get();
  add_extension(out.get(), vouching, NID_authority_key_identifier, "keyid:always");
  if (!plan.key_usage.empty()) {
    add_extension(out.get(), out.get(), NID_key_usage, plan.key_usage);
  }
  if (!plan.other_extension.empty()) add_unknown_extension(out.get(), plan.other_extension);
  EVP_PKEY* signer = issuer == nullptr ? key_.get() : issuer->key_.get();
  require(X509_sign(out.get(), signer, digest_for(signer)) > 0);
  return written([&](BIO* bio) { return PEM_write_bio_X509(bio, out.get()); });
}

std::string TestAuthority::revoke(const std::vector<long>& serials, std::uint64_t from,
                                  std::uint64_t until) const {
  const OwnedCrl out(X509_CRL_new());
  const OwnedCertificate own = load_certificate(der_of(pem_));
  X509_CRL_set_version(out.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(out.get(), X509_get_subject_name(own.get()));
  X509_CRL_set1_lastUpdate(out.get(), time_at(from).get());
  X509_CRL_set1_nextUpdate(out.get(), time_at(until).get());
  for (const long serial : serials) {
    OwnedRevoked revoked(X509_REVOKED_new());
    const OwnedInteger number(ASN1_INTEGER_new());
    ASN1_INTEGER_set(number.get(), serial);
    X509_REVOKED_set_serialNumber(revoked.get(), number.get());
    X509_REVOKED_set_revocationDate(revoked.get(), time_at(from).get());
    require(X509_CRL_add0_revoked(out.get(), revoked.release()) == 1);
  }
  X509_CRL_sort(out.get());
  require(X509_CRL_sign(out.get(), key_.get(), EVP_sha256()) > 0);
  return written([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, out.get()); });
}

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

Bytes der_of(const std::string& pem) {
  const OwnedBio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  require(PEM_read_bio(in.get(), &name, &header, &data, &size) == 1);
  Bytes out(data, data + size);
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return out;
}

Secret secret_of(ByteView bytes) { return Secret::copy_of(bytes).value(); }

bool openssl_has_ml_kem() { return OpenSSL_version_num() >= 0x30500000UL; }

}  // namespace ckptseal::test
