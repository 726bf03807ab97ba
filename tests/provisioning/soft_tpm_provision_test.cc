// SPDX-License-Identifier: Apache-2.0
//
// The whole way once, on a TPM: `--tpm soft` provisioned twice, used for daily work, refused after
// an exchange of the TPM, and removed. What goes wrong on the way is in provision_test.cc.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "hosts/trust.h"
#include "keymgr/tpm2/esys_tpm.h"
#include "provisioning/provision.h"
#include "provisioning/tpm_access.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

class SoftTpmProvisionTest : public testing::Test {
 protected:
  SoftTpmProvisionTest() {
    std::string name = "/tmp/cks-soft-XXXXXX";
    base = mkdtemp(name.data());
  }
  ~SoftTpmProvisionTest() override { fs::remove_all(base); }
  SoftTpmProvisionTest(const SoftTpmProvisionTest&) = delete;
  SoftTpmProvisionTest& operator=(const SoftTpmProvisionTest&) = delete;

  static ProvisionRequest request(bool dry_run = false) {
    ProvisionRequest out;
    out.tcti = soft_tcti;
    out.default_name = "host-a";
    out.now = 1000;
    out.dry_run = dry_run;
    return out;
  }

  std::string base;
};

TEST_F(SoftTpmProvisionTest, TheWholeWay) {
  const State state(base + "/a");
  const Result<ProvisionOutcome> plan = provision_host(state, request(true), standard_tpm_opener());
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(plan.value().steps.size(), 5U);
  EXPECT_FALSE(fs::exists(state.folder()));

  const Result<ProvisionOutcome> first = provision_host(state, request(), standard_tpm_opener());
  ASSERT_TRUE(first.ok()) << first.error().message;
  const HostRecord& record = first.value().record->record();
  EXPECT_TRUE(record.software);
  EXPECT_FALSE(record.ek_certificate.empty());
  EXPECT_EQ(first.value().warnings.size(), 2U);  // software, and all PCRs zero
  const Result<SignedHostRecord> own = verify_own_record(state);
  ASSERT_TRUE(own.ok()) << own.error().message;

  const Result<ProvisionOutcome> second = provision_host(state, request(), standard_tpm_opener());
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_FALSE(second.value().new_record);
  EXPECT_TRUE(second.value().steps[0].exists);
  EXPECT_EQ(second.value().record->fingerprint(), own.value().fingerprint());

  const TrustStore trust(state.trusted_folder(), 1000, own.value());
  const TrustedOrigin origin = trust.find_origin(own.value().identity()).value();
  {
    const Result<TpmSession> session = TpmSession::start(state, soft_tcti);
    ASSERT_TRUE(session.ok()) << session.error().message;
    Result<TpmConnection> connection = session.value().connect(TpmConnection::standard_timeout);
    ASSERT_TRUE(connection.ok()) << connection.error().message;
    const Digest digest = Sha256::of(as_bytes("anything"));
    EsysTpm tpm(std::move(connection).value(), state.keys().value().value());
    const Result<EcdsaSignature> signature = tpm.sign(digest);
    ASSERT_TRUE(signature.ok()) << signature.error().message;
    EXPECT_TRUE(origin.has_signed(digest, signature.value(), 1000));
  }

  const Result<RemovalOutcome> removed = remove_host(state, {}, standard_tpm_opener());
  ASSERT_TRUE(removed.ok()) << removed.error().message;
  EXPECT_TRUE(removed.value().steps[0].exists);
  EXPECT_FALSE(fs::exists(state.folder()));
}

TEST_F(SoftTpmProvisionTest, AnExchangedTpmIsRefused) {
  const State a(base + "/a");
  const State b(base + "/b");
  ASSERT_TRUE(provision_host(a, request(), standard_tpm_opener()).ok());
  ASSERT_TRUE(provision_host(b, request(), standard_tpm_opener()).ok());
  fs::remove_all(a.soft_tpm_folder());
  fs::rename(b.soft_tpm_folder(), a.soft_tpm_folder());
  const Result<ProvisionOutcome> again = provision_host(a, request(), standard_tpm_opener());
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message.find("another TPM"), std::string::npos) << again.error().message;
}

TEST_F(SoftTpmProvisionTest, ASoftwareTpmThatWasNotMadeIsNotStarted) {
  const State state(base + "/a");
  ASSERT_TRUE(state.create().ok());
  const Result<TpmSession> session = TpmSession::start(state, soft_tcti);
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().code, Code::unavailable);
  EXPECT_FALSE(fs::exists(state.soft_tpm_folder()));
}

}  // namespace
}  // namespace ckptseal
