// SPDX-License-Identifier: Apache-2.0
//
// Public and private keys in files: which are read, and which are refused.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/pem.h"
#include "keymgr/public_key/private_key.h"
#include "public_key_support.h"

namespace ckptseal {
namespace {

using test::bytes_of;
using test::secret_of;
using test::TestKey;

Result<PublicKey> public_key(ByteView spki) { return PublicKey::from_spki(spki, "The key"); }

void expect_public_refused(ByteView spki, Code code, const std::string& words) {
  const auto out = public_key(spki);
  ASSERT_FALSE(out.ok()) << words;
  EXPECT_EQ(out.error().code, code) << out.error().message;
  EXPECT_NE(out.error().message.find(words), std::string::npos) << out.error().message;
}

const std::string allowed = "use one on NIST P-256 or P-384";

TEST(PublicKeyFile, AllowedKeysAreRead) {
  struct Kind {
    TestKey key;
    KeyAlgorithm algorithm;
    std::size_t modulus;
  };
  for (const Kind& kind : {Kind{TestKey("P-256"), KeyAlgorithm::ecdh_p256, 0},
                           Kind{TestKey("P-384"), KeyAlgorithm::ecdh_p384, 0},
                           Kind{TestKey("X25519"), KeyAlgorithm::x25519, 0},
                           Kind{TestKey("RSA", 2048), KeyAlgorithm::rsa_oaep, 256},
                           Kind{TestKey("RSA", 2056), KeyAlgorithm::rsa_oaep, 257}}) {
    const Bytes spki = kind.key.spki();
    const PublicKey key = public_key(spki).value();
    EXPECT_EQ(key.algorithm(), kind.algorithm);
    EXPECT_EQ(key.id(), Sha256::of(spki));
    EXPECT_EQ(key.modulus_size(), kind.modulus);
    EXPECT_TRUE(same_bytes(key.spki(), spki));
    const std::string pem = pem_encode("PUBLIC KEY", spki).value();
    EXPECT_EQ(PublicKey::from_file(as_bytes(pem), "It").value().id(), key.id());
    EXPECT_EQ(PublicKey::from_file(spki, "It").value().id(), key.id());
  }
}

TEST(PublicKeyFile, OtherKeysAreRefused) {
  expect_public_refused(TestKey("RSA", 1024).spki(), Code::usage, "RSA, 1024 bits");
  expect_public_refused(TestKey("RSA", 2047).spki(), Code::usage, "RSA, 2047 bits");
  expect_public_refused(TestKey("RSA-PSS", 2048).spki(), Code::usage, allowed);
  expect_public_refused(TestKey("P-521").spki(), Code::usage, "EC, 521 bits");
  expect_public_refused(TestKey("P-224").spki(), Code::usage, allowed);
  expect_public_refused(TestKey("ED25519").spki(), Code::usage, allowed);
  expect_public_refused(TestKey("X448").spki(), Code::usage, allowed);
}

TEST(PublicKeyFile, OtherFormsOfACurveOrPointAreRefused) {
  for (const char* curve : {"P-256", "P-384"}) {
    const TestKey key(curve);
    for (const char* form : {"compressed", "hybrid"}) {
      expect_public_refused(key.spki_with("point-format", form), Code::usage, allowed);
    }
    expect_public_refused(key.spki_with("encoding", "explicit"), Code::usage, allowed);
  }
}

TEST(PublicKeyFile, DamagedKeysAreRefused) {
  for (const TestKey& key :
       {TestKey("P-256"), TestKey("P-384"), TestKey("X25519"), TestKey("RSA", 2048)}) {
    Bytes spki = key.spki();
    for (std::size_t size = 0; size < spki.size(); ++size) {
      EXPECT_FALSE(public_key(ByteView(spki).first(size)).ok()) << size;
    }
    spki.push_back(0);
    expect_public_refused(spki, Code::integrity, "holds no public key");
  }
  Bytes off = TestKey("P-256").spki();
  off.back() ^= 1;
  expect_public_refused(off, Code::integrity, "holds no public key");
  // An even modulus.
  Bytes even = TestKey("RSA", 2048).spki();
  even[even.size() - 6] &= 0xfe;
  expect_public_refused(even, Code::integrity, "holds no public key");
}

// The same key in BER would have another key id.
TEST(PublicKeyFile, OnlyDerIsRead) {
  const Bytes spki = TestKey("RSA", 2048).spki();
  ASSERT_EQ(spki[1], 0x82);
  Bytes longer = spki;
  longer[1] = 0x83;
  longer.insert(longer.begin() + 2, 0);
  EXPECT_FALSE(public_key(longer).ok());
  Bytes curve = TestKey("P-256").spki();
  curve.insert(curve.begin() + 1, 0x81);
  EXPECT_FALSE(public_key(curve).ok());
}

TEST(PublicKeyFile, PointsAreOnTheirCurve) {
  const Bytes spki = TestKey("P-384").spki();
  Bytes point(spki.end() - 97, spki.end());
  EXPECT_EQ(PublicKey::from_point(KeyAlgorithm::ecdh_p384, point, "It").value().id(),
            Sha256::of(spki));
  EXPECT_FALSE(PublicKey::from_point(KeyAlgorithm::ecdh_p256, point, "It").ok());
  EXPECT_FALSE(PublicKey::from_point(KeyAlgorithm::rsa_oaep, point, "It").ok());
  EXPECT_FALSE(PublicKey::from_point(KeyAlgorithm::rsa_oaep, {}, "It").ok());
  point[50] ^= 1;
  EXPECT_FALSE(PublicKey::from_point(KeyAlgorithm::ecdh_p384, point, "It").ok());
}

TEST(PublicKeyFile, RsaKeysComeInTwoNumbers) {
  const Bytes spki = TestKey("RSA", 2048).spki();
  const ByteView exponent = ByteView(spki).last(3);
  const ByteView modulus = ByteView(spki).last(5 + 256).first(256);
  const PublicKey key = PublicKey::from_rsa(modulus, exponent, "It").value();
  EXPECT_EQ(key.id(), Sha256::of(spki));
  EXPECT_EQ(key.modulus_size(), 256U);
  const Bytes padded = ByteWriter().zeros(3).bytes(modulus).take();
  EXPECT_EQ(PublicKey::from_rsa(padded, exponent, "It").value().id(), key.id());
  EXPECT_EQ(PublicKey::from_rsa(modulus.first(128), exponent, "It").error().code, Code::usage);
  EXPECT_FALSE(PublicKey::from_rsa(modulus, Bytes{2}, "It").ok());
  EXPECT_FALSE(PublicKey::from_rsa(modulus, {}, "It").ok());
  EXPECT_FALSE(PublicKey::from_rsa({}, exponent, "It").ok());
  EXPECT_FALSE(PublicKey::from_rsa(Bytes(10000, 1), exponent, "It").ok());
}

class PrivateKeyFileTest : public testing::Test {
 protected:
  Result<PublicKeyIdentity> read(const Bytes& file, const std::string& password = "") {
    if (password.empty()) return read_private_key(secret_of(file), nullptr, "The key file");
    const Secret secret = secret_of(as_bytes(password));
    return read_private_key(secret_of(file), &secret, "The key file");
  }

  void expect_read(const Bytes& file, const std::string& password = "") {
    const auto out = read(file, password);
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ(out.value().key().id(), Sha256::of(key.spki()));
  }

  void expect_refused(const Bytes& file, Code code, const std::string& words,
                      const std::string& password = "") {
    const auto out = read(file, password);
    ASSERT_FALSE(out.ok()) << words;
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_NE(out.error().message.find(words), std::string::npos) << out.error().message;
    EXPECT_EQ(out.error().message.find(secret_word), std::string::npos);
  }

  const std::string secret_word = "correct horse";
  TestKey key{"P-256"};
  Bytes pem = bytes_of(key.pkcs8_pem());
};

TEST_F(PrivateKeyFileTest, PemAndDerAreRead) {
  expect_read(pem);
  expect_read(key.pkcs8());
  Bytes loose = bytes_of("\n  " + key.pkcs8_pem() + "\r\n\n");
  expect_read(loose);
  expect_read(pem, "a password that nobody asked for");
}

TEST_F(PrivateKeyFileTest, EveryAllowedKindIsRead) {
  for (const TestKey& each :
       {TestKey("P-256"), TestKey("P-384"), TestKey("X25519"), TestKey("RSA", 2048)}) {
    for (const Bytes& file :
         {each.pkcs8(), bytes_of(each.pkcs8_pem()), bytes_of(each.encrypted_pem(secret_word)),
          each.encrypted_der(secret_word)}) {
      const auto out = read(file, secret_word);
      ASSERT_TRUE(out.ok()) << out.error().message;
      EXPECT_EQ(out.value().key().id(), Sha256::of(each.spki()));
    }
  }
}

TEST_F(PrivateKeyFileTest, EncryptedKeysNeedTheirPassword) {
  for (const Bytes& file :
       {bytes_of(key.encrypted_pem(secret_word)), key.encrypted_der(secret_word)}) {
    expect_read(file, secret_word);
    expect_refused(file, Code::usage, "give its password");
    expect_refused(file, Code::policy, "The password of The key file is wrong", "correct horsf");
    expect_refused(file, Code::policy, "is wrong", secret_word + "\n");
    Secret empty = secret_of(as_bytes("x"));
    empty.shrink(0);
    EXPECT_EQ(read_private_key(secret_of(file), &empty, "It").error().code, Code::usage);
  }
}

TEST_F(PrivateKeyFileTest, SaysWhetherItNeedsAPassword) {
  EXPECT_FALSE(needs_password(secret_of(pem), "It").value());
  EXPECT_FALSE(needs_password(secret_of(key.pkcs8()), "It").value());
  EXPECT_TRUE(needs_password(secret_of(bytes_of(key.encrypted_pem("x"))), "It").value());
  EXPECT_TRUE(needs_password(secret_of(key.encrypted_der("x")), "It").value());
  EXPECT_FALSE(needs_password(secret_of(bytes_of("text")), "It").ok());
}

TEST_F(PrivateKeyFileTest, OlderFormsAreRefusedWithTheCommand) {
  const std::string command = "openssl pkcs8 -topk8";
  const TestKey rsa("RSA", 2048);
  expect_refused(bytes_of("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                          "-----END EC PARAMETERS-----\n" +
                          key.traditional_pem()),
                 Code::usage, command);
  expect_refused(bytes_of(key.traditional_pem()), Code::usage, "EC PRIVATE KEY");
  expect_refused(bytes_of(rsa.traditional_pem()), Code::usage, "RSA PRIVATE KEY");
  for (const Bytes& file : {bytes_of(key.traditional_pem()), bytes_of(rsa.traditional_pem()),
                            key.traditional_der(), rsa.traditional_der()}) {
    expect_refused(file, Code::usage, command);
  }
  expect_refused(bytes_of(key.old_encrypted_pem(secret_word)), Code::usage, command, secret_word);
}

TEST_F(PrivateKeyFileTest, OtherFilesAreRefused) {
  for (const char* label : {"CERTIFICATE", "PUBLIC KEY", "OPENSSH PRIVATE KEY"}) {
    const auto other = pem_encode(label, key.spki());
    expect_refused(bytes_of(other.value()), Code::integrity, "another kind of file");
  }
  expect_refused(key.spki(), Code::integrity, "another kind of file");
}

TEST_F(PrivateKeyFileTest, OtherKeysAreRefused) {
  for (const TestKey& other :
       {TestKey("RSA", 1024), TestKey("P-521"), TestKey("ED25519"), TestKey("RSA-PSS", 2048)}) {
    expect_refused(other.pkcs8(), Code::usage, allowed);
    expect_refused(bytes_of(other.encrypted_pem(secret_word)), Code::usage, allowed, secret_word);
  }
}

TEST_F(PrivateKeyFileTest, DamagedFilesAreRefused) {
  const Bytes der = key.pkcs8();
  for (std::size_t size = 1; size < der.size(); ++size) {
    const Bytes cut(der.begin(), der.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(read(cut).error().code, Code::integrity) << size;
  }
  Bytes longer = der;
  longer.push_back(0);
  expect_refused(longer, Code::integrity, "no PKCS#8 private key");
  for (std::size_t size = 1; size + 1 < pem.size(); ++size) {
    const Bytes cut(pem.begin(), pem.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(read(cut).ok()) << size;
  }
  const std::string text = key.pkcs8_pem();
  expect_refused(bytes_of(text + text), Code::integrity, "no PKCS#8 private key");
  expect_refused(bytes_of("text\n" + text), Code::integrity, "no PKCS#8 private key");
  std::string bad = text;
  bad[40] = '!';
  expect_refused(bytes_of(bad), Code::integrity, "no PKCS#8 private key");
  bad[40] = '=';
  expect_refused(bytes_of(bad), Code::integrity, "no PKCS#8 private key");
  expect_refused(bytes_of("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"),
                 Code::integrity, "no PKCS#8 private key");
}

TEST_F(PrivateKeyFileTest, DamagedEncryptedFilesLookLikeAWrongPassword) {
  Bytes der = key.encrypted_der(secret_word);
  der[der.size() - 20] ^= 1;
  expect_refused(der, Code::policy, "or the file is damaged", secret_word);
}

TEST_F(PrivateKeyFileTest, ANewOneIsOfX25519) {
  const Secret made = make_private_key().value();
  const PublicKeyIdentity identity = read_private_key(made, nullptr, "The key file").value();
  EXPECT_EQ(identity.key().algorithm(), KeyAlgorithm::x25519);
  const Secret other = make_private_key().value();
  EXPECT_NE(read_private_key(other, nullptr, "It").value().key().id(), identity.key().id());
  EXPECT_FALSE(needs_password(made, "It").value());
}

// Its slots would be made for the one and opened with the other.
TEST_F(PrivateKeyFileTest, APublicKeyOfAnotherInItIsRefused) {
  Bytes der = key.pkcs8();
  const Bytes other = TestKey("P-256").spki();
  ASSERT_EQ(der[der.size() - 65], 0x04);
  std::copy(other.end() - 65, other.end(), der.end() - 65);
  expect_refused(der, Code::integrity, "no PKCS#8 private key");
}

}  // namespace
}  // namespace ckptseal
