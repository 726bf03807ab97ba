// SPDX-License-Identifier: Apache-2.0
//
// docs/host-record.md, "Host identity": what stays when a record changes, and that nobody else can
// make a record with it.
#include <gtest/gtest.h>

#include <filesystem>

#include "hosts/trust.h"
#include "software_host.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;
using test::SoftwareHost;
using test::SoftwareKey;

DigestSigner signer_of(const SoftwareKey& key) {
  return [key](const Digest& digest) -> Result<EcdsaSignature> { return key.sign(digest); };
}

CertifiedKey signing_key(const SoftwareHost& host, const SoftwareKey& key) {
  return host.certify(test::public_area(key, test::own_key | test::sign, test::Shape::signing));
}

Digest identity_of(ByteView key) {
  return Sha256().update(as_bytes("ckpt-seal/v1/host")).update(key).finish();
}

TEST(HostIdentityTest, IsThatOfTheAttestationKey) {
  const SoftwareHost host;
  const HostRecord statement = host.statement();
  EXPECT_EQ(host_identity(statement), identity_of(host.attestation_public.marshalled()));
  HostRecord anew = host.statement("renamed");
  anew.created = 1200;
  anew.policy_anchor.values[0][0] ^= 1;
  anew.signing_keys = {signing_key(host, SoftwareKey())};
  EXPECT_EQ(host_identity(anew), host_identity(statement));
  EXPECT_TRUE(same_host(anew, statement));
  // The twin has all but the attestation key in common.
  HostRecord other = statement;
  other.attestation_key = SoftwareHost().attestation_public;
  EXPECT_NE(host_identity(other), host_identity(statement));
  EXPECT_FALSE(same_host(other, statement));
}

// A host with a token, one that trusts it, and one that has no more than its record.
class TokenIdentityTest : public testing::Test {
 protected:
  TokenIdentityTest() {
    std::string name = "/tmp/cks-identity-XXXXXX";
    base = mkdtemp(name.data());
  }
  ~TokenIdentityTest() override { fs::remove_all(base); }
  TokenIdentityTest(const TokenIdentityTest&) = delete;
  TokenIdentityTest& operator=(const TokenIdentityTest&) = delete;

  HostRecord statement(std::vector<EcPoint> signing_keys, Seconds created = 1000) const {
    HostRecord out;
    out.name = "vault";
    out.created = created;
    out.token = TokenKeys{storage.point(), std::move(signing_keys)};
    return out;
  }
  Result<TrustChange> add(const SignedHostRecord& record) const {
    return TrustStore(base + "/trusted", 1500)
        .add(record, {{true, true}, std::nullopt, false, false});
  }
  void expect_unreadable(const HostRecord& statement, const SoftwareKey& by) const {
    const Result<SignedHostRecord> record = sign_host_record(statement, signer_of(by));
    ASSERT_FALSE(record.ok());
    EXPECT_EQ(record.error().code, Code::integrity);
    EXPECT_NE(record.error().message.find("signature does not fit"), std::string::npos);
  }

  std::string base;
  SoftwareKey storage;
  SoftwareKey signing;
  SoftwareKey newer;
  SoftwareKey forger;
};

TEST_F(TokenIdentityTest, IsThatOfTheLastSigningKey) {
  const EcPoint& last = signing.point();
  const Bytes key = ByteWriter().u8(4).bytes(last.x).bytes(last.y).take();
  const HostRecord before = statement({signing.point()});
  const HostRecord after = statement({newer.point(), signing.point()});
  EXPECT_EQ(host_identity(before), identity_of(key));
  EXPECT_EQ(host_identity(after), identity_of(key));
  HostRecord moved = before;
  moved.token->storage_key = newer.point();
  EXPECT_TRUE(same_host(before, moved));
  // The twins have lost their last key, or have it in another place.
  EXPECT_FALSE(same_host(before, statement({newer.point()})));
  EXPECT_FALSE(same_host(before, statement({signing.point(), newer.point()})));
  EXPECT_FALSE(same_host(before, SoftwareHost().statement("vault")));
}

TEST_F(TokenIdentityTest, ANewSigningKeyInFrontIsAnUpdate) {
  const HostRecord rotated = statement({newer.point(), signing.point()}, 1200);
  ASSERT_TRUE(add(sign_host_record(statement({signing.point()}), signer_of(signing)).value()).ok());
  const Result<SignedHostRecord> record = sign_host_record(rotated, signer_of(signing));
  ASSERT_TRUE(record.ok()) << record.error().message;
  EXPECT_TRUE(add(record.value()).ok());
  // The twin is signed by the key in front.
  expect_unreadable(rotated, newer);
}

// Whoever has the public record of a host made another of its storage key and a signing key of his
// own, signed by that, and it passed as an update of the host.
TEST_F(TokenIdentityTest, WhoHasThePublicRecordMakesNoUpdate) {
  ASSERT_TRUE(add(sign_host_record(statement({signing.point()}), signer_of(signing)).value()).ok());
  expect_unreadable(statement({forger.point(), signing.point()}, 1200), forger);
  for (const HostRecord& forged :
       {statement({forger.point()}, 1200), statement({signing.point(), forger.point()}, 1200)}) {
    const Result<SignedHostRecord> record = sign_host_record(forged, signer_of(forger));
    ASSERT_TRUE(record.ok()) << record.error().message;
    const Result<TrustChange> change = add(record.value());
    ASSERT_FALSE(change.ok());
    EXPECT_EQ(change.error().code, Code::untrusted);
    EXPECT_NE(change.error().message.find("another host"), std::string::npos);
  }
  // The good twin is the host's own.
  const HostRecord own = statement({signing.point()}, 1200);
  EXPECT_TRUE(add(sign_host_record(own, signer_of(signing)).value()).ok());
}

}  // namespace
}  // namespace ckptseal
