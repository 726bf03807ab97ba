// SPDX-License-Identifier: Apache-2.0
//
// Keys, certificates and revocation lists of every kind, made anew by each test.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"

namespace ckptseal::test {

// Made by OpenSSL; what fails throws.
class TestKey {
 public:
  // "P-256", "P-384", "P-521", "X25519", "ED25519", "RSA" and "RSA-PSS" with a number of bits.
  explicit TestKey(const std::string& kind, unsigned bits = 0);

  EVP_PKEY* get() const { return key_.get(); }
  Bytes spki() const;
  Bytes spki_with(const char* parameter, const char* value) const;  // of an EC key
  Bytes pkcs8() const;
  std::string pkcs8_pem() const;
  std::string encrypted_pem(const std::string& password) const;  // PBES2
  Bytes encrypted_der(const std::string& password) const;
  std::string old_encrypted_pem(const std::string& password) const;  // not PBES2
  std::string traditional_pem() const;  // EC PRIVATE KEY, RSA PRIVATE KEY
  Bytes traditional_der() const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  std::unique_ptr<EVP_PKEY, Free> key_;
};

inline constexpr std::uint64_t some_day = 1800000000;  // in January 2027
inline constexpr std::uint64_t one_day = 86400;

struct CertificatePlan {
  std::string name = "a leaf";
  std::uint64_t from = some_day - one_day;
  std::uint64_t until = some_day + one_day;
  std::string key_usage;  // as in openssl's configuration, empty for none
  bool authority = false;
  long serial = 1;
  std::string other_extension;  // its OID; it is critical
};

// An authority that signs itself, or is signed by another.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name, const TestAuthority* issuer = nullptr);

  const std::string& pem() const { return pem_; }
  const TestKey& key() const { return key_; }
  // Both are PEM.
  std::string issue(const TestKey& key, const CertificatePlan& plan) const;
  std::string revoke(const std::vector<long>& serials, std::uint64_t from,
                     std::uint64_t until) const;

 private:
  std::string sign(const TestKey& key, const CertificatePlan& plan,
                   const TestAuthority* issuer) const;

  std::string name_;
  TestKey key_;
  std::string pem_;
};

Bytes bytes_of(const std::string& text);
Bytes der_of(const std::string& pem);
Secret secret_of(ByteView bytes);

// By its version, which is not what the code under test goes by.
bool openssl_has_ml_kem();

}  // namespace ckptseal::test
