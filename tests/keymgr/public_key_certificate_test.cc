// SPDX-License-Identifier: Apache-2.0
//
// Which certificates name a recipient, and which do not.
#include "keymgr/public_key/certificate.h"

#include <gtest/gtest.h>

#include "keymgr/public_key/private_key.h"
#include "public_key_support.h"

namespace ckptseal {
namespace {

using test::bytes_of;
using test::CertificatePlan;
using test::der_of;
using test::one_day;
using test::some_day;
using test::TestAuthority;
using test::TestKey;

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

Result<Certificate> read(const std::string& file, std::uint64_t now = some_day) {
  return read_certificate(bytes_of(file), now, "The certificate");
}

class CertificateTest : public testing::Test {
 protected:
  std::string issue(const TestKey& with, const std::string& key_usage) {
    CertificatePlan plan;
    plan.key_usage = key_usage;
    return authority.issue(with, plan);
  }

  void expect_refused(const std::string& file, Code code, const std::string& words,
                      std::uint64_t now = some_day) {
    const auto out = read(file, now);
    ASSERT_FALSE(out.ok()) << words;
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_NE(out.error().message.find(words), std::string::npos) << out.error().message;
  }

  TestAuthority authority{"an authority"};
  TestKey key{"P-256"};
  std::string pem = issue(key, "");
};

TEST_F(CertificateTest, NamesARecipientWhoseKeyOpens) {
  for (const TestKey& each :
       {TestKey("P-256"), TestKey("P-384"), TestKey("X25519"), TestKey("RSA", 2048)}) {
    const std::string file = issue(each, "");
    const Certificate certificate = read(file).value();
    EXPECT_EQ(certificate.der, der_of(file));
    EXPECT_EQ(certificate.subject, "CN=a leaf");
    const Secret data_key = random_secret(data_key_size).value();
    const SlotBody slot = PublicKeyRecipient(certificate.key, certificate.name())
                              .wrap(data_key, some_checkpoint)
                              .value();
    const PublicKeySlot parsed = PublicKeySlot::parse(slot.bytes).value();
    EXPECT_EQ(parsed.source, KeySource::certificate);
    EXPECT_EQ(parsed.certificate, Sha256::of(der_of(file)));
    EXPECT_EQ(parsed.label, "CN=a leaf");
    EXPECT_EQ(parsed.key_id, Sha256::of(each.spki()));
    PublicKeyIdentity identity =
        read_private_key(test::secret_of(each.pkcs8()), nullptr, "The key").value();
    const auto opened = identity.unwrap(slot, some_checkpoint);
    ASSERT_TRUE(opened.ok() && opened.value());
    EXPECT_TRUE(equal_constant_time(opened.value()->view(), data_key.view()));
  }
}

TEST_F(CertificateTest, MayBeDerOrHaveTextAround) {
  const Bytes der = der_of(pem);
  EXPECT_TRUE(read_certificate(der, some_day, "The certificate").ok());
  EXPECT_TRUE(read("Certificate:\n    Data:\n" + pem + "\n").ok());
}

TEST_F(CertificateTest, HasItsTime) {
  const std::uint64_t from = some_day - one_day;
  const std::uint64_t until = some_day + one_day;
  EXPECT_TRUE(read(pem, from).ok());
  EXPECT_TRUE(read(pem, until).ok());
  expect_refused(pem, Code::untrusted, "not valid before 2027-01-14", from - 1);
  expect_refused(pem, Code::untrusted, "expired on 2027-01-16", until + 1);
  expect_refused(pem, Code::untrusted, "not valid before", 0);
}

TEST_F(CertificateTest, IsForThatUse) {
  const TestKey rsa("RSA", 2048);
  const TestKey x25519("X25519");
  EXPECT_TRUE(read(issue(key, "critical,keyAgreement")).ok());
  EXPECT_TRUE(read(issue(x25519, "keyAgreement,digitalSignature")).ok());
  EXPECT_TRUE(read(issue(rsa, "keyEncipherment")).ok());
  expect_refused(issue(key, "critical,digitalSignature"), Code::usage, "lacks keyAgreement");
  expect_refused(issue(key, "keyEncipherment"), Code::usage, "lacks keyAgreement");
  expect_refused(issue(x25519, "keyEncipherment"), Code::usage, "lacks keyAgreement");
  expect_refused(issue(rsa, "keyAgreement"), Code::usage, "lacks keyEncipherment");
}

TEST_F(CertificateTest, OfAnAuthorityNeedsTheUse) {
  expect_refused(authority.pem(), Code::usage, "lacks keyAgreement");
  CertificatePlan plan;
  plan.authority = true;
  expect_refused(authority.issue(key, plan), Code::usage, "certificate authority");
  plan.key_usage = "keyCertSign,keyAgreement";
  EXPECT_TRUE(read(authority.issue(key, plan)).ok());
}

TEST_F(CertificateTest, HasAnAllowedKey) {
  for (const auto& [other, words] : {std::pair{TestKey("RSA", 1024), "RSA, 1024 bits"},
                                     {TestKey("P-521"), "EC, 521 bits"},
                                     {TestKey("ED25519"), "ED25519"},
                                     {TestKey("RSA-PSS", 2048), "RSA-PSS"}}) {
    expect_refused(issue(other, ""), Code::usage, words);
    expect_refused(issue(other, ""), Code::usage, "use one on NIST P-256 or P-384");
  }
}

TEST_F(CertificateTest, HasNoExtensionThatIsCriticalAndUnknown) {
  CertificatePlan plan;
  plan.other_extension = "1.3.6.1.4.1.99999.1";
  expect_refused(authority.issue(key, plan), Code::usage, "critical extension");
}

TEST_F(CertificateTest, IsAloneInItsFile) {
  expect_refused(pem + pem, Code::usage, "2 PEM blocks");
  expect_refused(pem + authority.pem(), Code::usage, "2 PEM blocks");
  expect_refused(pem + key.pkcs8_pem(), Code::usage, "2 PEM blocks");
}

TEST_F(CertificateTest, OtherFilesAreRefused) {
  const std::string words = "not one X.509 certificate";
  expect_refused("", Code::integrity, words);
  expect_refused("some text", Code::integrity, words);
  expect_refused(key.pkcs8_pem(), Code::integrity, words);
  expect_refused(authority.revoke({}, some_day, some_day + 1), Code::integrity, words);
  Bytes der = der_of(pem);
  for (std::size_t size = 0; size < der.size(); ++size) {
    EXPECT_FALSE(read_certificate(ByteView(der).first(size), some_day, "It").ok()) << size;
  }
  der.push_back(0);
  EXPECT_FALSE(read_certificate(der, some_day, "It").ok());
  EXPECT_EQ(read(pem.substr(0, pem.size() / 2)).error().code, Code::integrity);
  std::string damaged = pem;
  damaged[60] = '!';
  EXPECT_EQ(read(damaged).error().code, Code::integrity);
}

TEST_F(CertificateTest, SubjectsBecomeLabels) {
  CertificatePlan plan;
  plan.name = "J\xc3\xbcrgen, x";
  EXPECT_EQ(read(authority.issue(key, plan)).value().subject, "CN=J??rgen\\, x");
  plan.name = "a\nb";
  EXPECT_EQ(read(authority.issue(key, plan)).value().subject, "CN=a?b");
}

}  // namespace
}  // namespace ckptseal
