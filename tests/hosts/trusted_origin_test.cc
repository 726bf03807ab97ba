// SPDX-License-Identifier: Apache-2.0
//
// A trusted origin is a host, with the signing keys of all its trusted records, each as long as its
// record holds. docs/format.md, "Trailer"; docs/state.md, "trusted/".
#include <gtest/gtest.h>

#include <filesystem>

#include "hosts/trust.h"
#include "software_host.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;
using test::SoftwareHost;
using test::SoftwareKey;

constexpr TrustRoles as_origin{false, true};

// A host whose TPM has made a new signing key between its two records.
class TrustedOriginTest : public testing::Test {
 protected:
  TrustedOriginTest() {
    std::string name = "/tmp/cks-origin-XXXXXX";
    base = mkdtemp(name.data());
    host.signing = second;
    host.signing_public =
        test::public_area(second, test::own_key | test::sign, test::Shape::signing);
    newer = host.record("host-new", 1200);
  }
  ~TrustedOriginTest() override { fs::remove_all(base); }
  TrustedOriginTest(const TrustedOriginTest&) = delete;
  TrustedOriginTest& operator=(const TrustedOriginTest&) = delete;

  TrustStore store() const { return {base + "/trusted", 1500}; }
  void trust(const SignedHostRecord& record) const {
    const Result<TrustChange> change = store().add(record, {as_origin, std::nullopt, false, false});
    ASSERT_TRUE(change.ok()) << change.error().message;
  }
  TrustedOrigin only_origin() const {
    const std::vector<TrustedOrigin> all = store().origins().value();
    EXPECT_EQ(all.size(), 1U);
    return all.front();
  }
  bool signs(const TrustedOrigin& origin, const SoftwareKey& key, Seconds when) const {
    return origin.has_signed(digest, key.sign(digest), when);
  }

  std::string base;
  SoftwareHost host;
  SoftwareKey first = host.signing;
  SoftwareKey second;
  std::optional<SignedHostRecord> older = host.record("host-old", 1000);
  std::optional<SignedHostRecord> newer;
  Digest digest = Sha256::of(as_bytes("what was sealed"));
};

// Of who trusts the older record alone, when this host signs by the newer one.
TEST_F(TrustedOriginTest, OutgrowsItsRecords) {
  const auto outgrown = [&](Seconds now, Seconds then, const SignedHostRecord& own) {
    return TrustStore(base + "/trusted", now, own).outgrown_since(then).value();
  };
  EXPECT_FALSE(outgrown(1500, 1100, *newer)) << "there is no other";
  trust(*older);
  EXPECT_TRUE(outgrown(1500, 1100, *newer)) << "it has another key";
  EXPECT_FALSE(outgrown(1500, 999, *newer)) << "it was not made then";
  EXPECT_FALSE(outgrown(1500, 2000, *newer)) << "it had ended then";
  // The same key, as long as the older one holds.
  host.signing = first;
  host.signing_public = test::public_area(first, test::own_key | test::sign, test::Shape::signing);
  const SignedHostRecord same = host.record("host-new", 1200);
  EXPECT_FALSE(outgrown(1999, 1100, same));
  EXPECT_TRUE(outgrown(2000, 1100, same));
  EXPECT_FALSE(TrustStore(base + "/trusted", 1500).outgrown_since(1100).value()) << "no host";
  test::SoftwareHost other;
  EXPECT_FALSE(outgrown(2100, 1100, other.record("other"))) << "a record of another host";
}

TEST_F(TrustedOriginTest, HasTheKeysOfAllItsRecords) {
  trust(*newer);
  trust(*older);
  const TrustedOrigin origin = only_origin();
  EXPECT_EQ(origin.identity, older->identity());
  EXPECT_EQ(origin.identity, newer->identity());
  EXPECT_EQ(origin.name, "host-new");
  ASSERT_EQ(origin.keys.size(), 2U);
  EXPECT_TRUE(signs(origin, first, 1500));
  EXPECT_TRUE(signs(origin, second, 1500));
  // The twins: another key, another digest, and a record that is trusted no more.
  EXPECT_FALSE(signs(origin, SoftwareKey(), 1500));
  EXPECT_FALSE(origin.has_signed(Sha256::of(as_bytes("another")), first.sign(digest), 1500));
  ASSERT_TRUE(store().remove("host-old", as_origin, std::nullopt, false).ok());
  EXPECT_FALSE(signs(only_origin(), first, 1500));
  EXPECT_TRUE(signs(only_origin(), second, 1500));
}

TEST_F(TrustedOriginTest, EachKeyHoldsAsLongAsItsRecord) {
  trust(*newer);
  trust(*older);
  const TrustedOrigin origin = only_origin();
  EXPECT_TRUE(signs(origin, first, 1999));
  EXPECT_FALSE(signs(origin, first, 2000));
  EXPECT_TRUE(signs(origin, second, 2199));
  EXPECT_FALSE(signs(origin, second, 2200));
}

TEST_F(TrustedOriginTest, AKeyInTwoRecordsHoldsAsLongAsOneOfThem) {
  HostRecord lasting = host.statement("host-new");
  lasting.created = 1100;
  lasting.expires = 0;
  const SignedHostRecord for_ever = sign_host_record(lasting, host.signer()).value();
  for (const bool lasting_first : {true, false}) {
    std::vector<TrustedOrigin> origins;
    ASSERT_TRUE(add_origin(origins, lasting_first ? for_ever : *newer).ok());
    ASSERT_TRUE(add_origin(origins, lasting_first ? *newer : for_ever).ok());
    ASSERT_EQ(origins.size(), 1U);
    ASSERT_EQ(origins[0].keys.size(), 1U);
    EXPECT_TRUE(signs(origins[0], second, 999999));
  }
  // The twin is without the record that never expires.
  EXPECT_FALSE(signs(trusted_origin(*newer).value(), second, 999999));
}

TEST_F(TrustedOriginTest, AnotherHostIsAnotherOrigin) {
  const SoftwareHost other;
  trust(*older);
  trust(other.record("host-b"));
  EXPECT_EQ(store().origins().value().size(), 2U);
  const Result<TrustedOrigin> found = store().find_origin(older->identity());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value().name, "host-old");
  EXPECT_FALSE(signs(found.value(), other.signing, 1500));
  Digest nobody = older->identity();
  nobody[0] ^= 1;
  EXPECT_FALSE(store().find_origin(nobody).ok());
}

}  // namespace
}  // namespace ckptseal
