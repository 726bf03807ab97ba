// SPDX-License-Identifier: Apache-2.0
//
// Which chains of certificates hold.
#include "keymgr/public_key/certificate_chain.h"

#include <gtest/gtest.h>

#include "public_key_support.h"

namespace ckptseal {
namespace {

using test::bytes_of;
using test::CertificatePlan;
using test::one_day;
using test::some_day;
using test::TestAuthority;
using test::TestKey;

class ChainTest : public testing::Test {
 protected:
  Certificate leaf_of(const TestAuthority& issuer) {
    return read_certificate(bytes_of(issuer.issue(key, {})), some_day, "The certificate").value();
  }

  Status check(const Certificate& leaf, std::uint64_t now = some_day) {
    return check_chain(leaf, inputs, now, "The certificate");
  }

  void expect_refused(const Certificate& leaf, Code code, const std::string& words,
                      std::uint64_t now = some_day) {
    const Status out = check(leaf, now);
    ASSERT_FALSE(out.ok()) << words;
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_NE(out.error().message.find(words), std::string::npos) << out.error().message;
  }

  TestKey key{"P-256"};
  TestAuthority root{"a root"};
  TestAuthority between{"one between", &root};
  TestAuthority stranger{"a stranger"};
  Certificate direct = leaf_of(root);
  Certificate longer = leaf_of(between);
  ChainInputs inputs{bytes_of(root.pem()), {}, {}};
};

TEST_F(ChainTest, HoldsUpToATrustedAuthority) {
  EXPECT_TRUE(check(direct).ok()) << check(direct).error().message;
  inputs.intermediates = bytes_of(stranger.pem() + between.pem());
  EXPECT_TRUE(check(longer).ok());
  inputs.anchors = bytes_of(stranger.pem() + root.pem());
  EXPECT_TRUE(check(longer).ok());
}

TEST_F(ChainTest, AnotherAuthorityVouchesForNothing) {
  const std::string words = "No authority that is trusted";
  inputs.anchors = bytes_of(stranger.pem());
  expect_refused(direct, Code::untrusted, words);
  inputs.intermediates = bytes_of(root.pem());  // trusts nothing
  expect_refused(direct, Code::untrusted, words);
}

TEST_F(ChainTest, AnAuthorityBetweenHasToBeThere) {
  expect_refused(longer, Code::untrusted, "No authority that is trusted");
}

TEST_F(ChainTest, AnAuthorityOfTheSameNameIsAnother) {
  const TestAuthority forged("a root");
  EXPECT_FALSE(check(leaf_of(forged)).ok());
}

TEST_F(ChainTest, ALeafVouchesForNothing) {
  CertificatePlan plan;
  plan.name = "a leaf";
  plan.key_usage = "keyAgreement";
  // Signed by the leaf's key under its name, as its owner could.
  const TestAuthority usurper("a leaf");
  inputs.intermediates = bytes_of(root.issue(usurper.key(), plan));
  EXPECT_FALSE(check(leaf_of(usurper)).ok());
}

TEST_F(ChainTest, HoldsAtItsTimeOnly) {
  expect_refused(direct, Code::untrusted, "does not hold", some_day + 2 * one_day);
  expect_refused(direct, Code::untrusted, "does not hold", some_day - 2 * one_day);
}

TEST_F(ChainTest, RevokedCertificatesAreRefused) {
  const auto list = [&](const TestAuthority& by, const std::vector<long>& serials) {
    return by.revoke(serials, some_day - one_day, some_day + one_day);
  };
  inputs.crls = bytes_of(list(root, {7, 8}));
  EXPECT_TRUE(check(direct).ok()) << check(direct).error().message;
  inputs.crls = bytes_of(list(root, {7, 1}));
  expect_refused(direct, Code::revoked, "was revoked");
  inputs.crls = bytes_of(list(stranger, {}) + list(root, {1}));
  expect_refused(direct, Code::revoked, "was revoked");
}

TEST_F(ChainTest, RevocationListsHaveTheirTime) {
  const auto list = [&](std::uint64_t from, std::uint64_t until) {
    return bytes_of(root.revoke({}, from, until));
  };
  inputs.crls = list(some_day - 2 * one_day, some_day - one_day);
  expect_refused(direct, Code::untrusted, "too old or not valid yet");
  inputs.crls = list(some_day + one_day, some_day + 2 * one_day);
  expect_refused(direct, Code::untrusted, "too old or not valid yet");
}

TEST_F(ChainTest, TheListOfTheIssuerHasToBeThere) {
  inputs.crls = bytes_of(stranger.revoke({}, some_day - one_day, some_day + one_day));
  expect_refused(direct, Code::untrusted, "from the issuer");
  const TestAuthority forged("a root");
  inputs.crls = bytes_of(forged.revoke({}, some_day - one_day, some_day + one_day));
  EXPECT_FALSE(check(direct).ok());
}

TEST_F(ChainTest, WhomARevokedAuthorityVouchesForIsRefused) {
  const auto list = [&](const TestAuthority& by, const std::vector<long>& serials) {
    return by.revoke(serials, some_day - one_day, some_day + one_day);
  };
  inputs.intermediates = bytes_of(between.pem());
  inputs.crls = bytes_of(list(between, {}) + list(root, {}));
  EXPECT_TRUE(check(longer).ok()) << check(longer).error().message;
  inputs.crls = bytes_of(list(between, {}) + list(root, {1000}));
  expect_refused(longer, Code::revoked, "an authority above it was revoked");
  inputs.crls = bytes_of(list(between, {}));
  expect_refused(longer, Code::untrusted, "an authority above the issuer");
  inputs.crls = bytes_of(list(root, {}));
  expect_refused(longer, Code::untrusted, "from the issuer");
}

TEST_F(ChainTest, OtherInputsAreRefused) {
  inputs.anchors = {};
  expect_refused(direct, Code::usage, "give the certificate of one");
  inputs.anchors = bytes_of("text");
  expect_refused(direct, Code::usage, "are no PEM");
  inputs.anchors = bytes_of(root.pem() + root.revoke({}, some_day, some_day + 1));
  expect_refused(direct, Code::usage, "X509 CRL");
  inputs.anchors = bytes_of(root.pem());
  inputs.crls = bytes_of(root.pem());
  expect_refused(direct, Code::usage, "The revocation lists");
  inputs.crls = Bytes();
  expect_refused(direct, Code::usage, "The revocation lists");
  inputs.crls = {};
  inputs.intermediates = bytes_of(between.pem().substr(0, 200));
  expect_refused(direct, Code::integrity, "The intermediate certificates");
}

}  // namespace
}  // namespace ckptseal
