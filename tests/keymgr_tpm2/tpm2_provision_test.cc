// SPDX-License-Identifier: Apache-2.0
//
// Provisioning twice, beside the keys of others, on an owned TPM, and taking it back.
#include <gtest/gtest.h>

#include <algorithm>

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/key_templates_internal.h"
#include "keymgr/tpm2/nv_counter.h"
#include "keymgr/tpm2/provision.h"
#include "keymgr/tpm2/tpm_inventory.h"
#include "keymgr/tpm2/use_count.h"
#include "own_tpm.h"

namespace ckptseal {
namespace {

class ProvisionTpmTest : public ::testing::Test {
 protected:
  TpmIdentity provision() {
    TpmConnection connection = own_.connect();
    Result<TpmIdentity> out = provision_tpm(connection);
    EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message);
    return std::move(out).value();
  }
  std::vector<TPM2_HANDLE> persistent() {
    TpmConnection connection = own_.connect();
    const EsysContext context = EsysContext::make(connection).value();
    std::vector<TPM2_HANDLE> out = handles_in(context, TPM2_PERSISTENT_FIRST, 0x800000).value();
    const std::vector<TPM2_HANDLE> nv = handles_in(context, 0x01800000, 0x10000).value();
    out.insert(out.end(), nv.begin(), nv.end());
    return out;
  }
  // Another's key at `handle`.
  void occupy(TPM2_HANDLE handle) {
    TpmConnection connection = own_.connect();
    const EsysContext context = EsysContext::make(connection).value();
    TPM2B_PUBLIC other = signing_key_template();
    other.publicArea.unique.ecc.y.size = 4;
    other.publicArea.unique.ecc.y.buffer[0] = static_cast<BYTE>(handle);
    const TPM2B_SENSITIVE_CREATE sensitive{};
    const TPM2B_DATA data{};
    const TPML_PCR_SELECTION pcrs{};
    ESYS_TR made = ESYS_TR_NONE;
    ASSERT_EQ(Esys_CreatePrimary(context.get(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                 ESYS_TR_NONE, &sensitive, &other, &data, &pcrs, &made, nullptr,
                                 nullptr, nullptr, nullptr),
              TSS2_RC_SUCCESS);
    const EsysHandle transient = EsysHandle::flushed(context, made);
    ESYS_TR kept = ESYS_TR_NONE;
    ASSERT_EQ(Esys_EvictControl(context.get(), ESYS_TR_RH_OWNER, made, ESYS_TR_PASSWORD,
                                ESYS_TR_NONE, ESYS_TR_NONE, handle, &kept),
              TSS2_RC_SUCCESS);
    const EsysHandle persistent_handle = EsysHandle::persistent(context, kept);
  }
  void set_auth(ESYS_TR hierarchy) {
    TpmConnection connection = own_.connect();
    const EsysContext context = EsysContext::make(connection).value();
    TPM2B_AUTH auth{};
    auth.size = 4;
    std::fill_n(auth.buffer, 4, 'x');
    ASSERT_EQ(Esys_HierarchyChangeAuth(context.get(), hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &auth),
              TSS2_RC_SUCCESS);
  }

  testing::OwnTpm own_;
};

TEST_F(ProvisionTpmTest, GivesAnIdentity) {
  const std::vector<TPM2_HANDLE> before = persistent();
  const TpmIdentity identity = provision();
  EXPECT_TRUE(identity.software);
  EXPECT_EQ(identity.manufacturer, "IBM");
  EXPECT_GT(identity.ek_certificate.size(), 500U);
  EXPECT_EQ(identity.ek_certificate.at(0), 0x30);
  EXPECT_GT(identity.ek_public.size(), 256U);
  EXPECT_TRUE(identity.storage_parent.require(KeyRole::storage_parent).ok());
  EXPECT_TRUE(identity.attestation_key.require(KeyRole::attestation_key).ok());
  EXPECT_TRUE(identity.signing_key.require(KeyRole::signing_key).ok());
  EXPECT_EQ(identity.keys.storage_parent.handle, 0x81000001U);
  EXPECT_EQ(identity.keys.attestation_key.handle, 0x81010f00U);
  EXPECT_EQ(identity.keys.signing_key.handle, 0x81000f00U);
  EXPECT_EQ(identity.epoch_index, 0x01800f00U);
  EXPECT_GE(identity.epoch, 1U);
  EXPECT_EQ(identity.use_index, 0x01800f10U);
  EXPECT_GE(identity.uses, 1U);
  EXPECT_EQ(persistent().size(), before.size() + 5);
}

TEST_F(ProvisionTpmTest, TwiceChangesNothing) {
  const TpmIdentity first = provision();
  const std::vector<TPM2_HANDLE> there = persistent();
  const TpmIdentity second = provision();
  EXPECT_EQ(first.keys.serialize(), second.keys.serialize());
  EXPECT_EQ(first.ek_public, second.ek_public);
  EXPECT_EQ(first.epoch, second.epoch);
  EXPECT_EQ(persistent(), there);
}

TEST_F(ProvisionTpmTest, KeysOfOthersStay) {
  for (const TPM2_HANDLE handle : {0x81000001U, 0x81000002U, 0x81010f00U, 0x81000f00U}) {
    occupy(handle);
  }
  const TpmIdentity identity = provision();
  EXPECT_EQ(identity.keys.storage_parent.handle, 0x81000003U);
  EXPECT_EQ(identity.keys.attestation_key.handle, 0x81010f01U);
  EXPECT_EQ(identity.keys.signing_key.handle, 0x81000f01U);
  EXPECT_EQ(provision().keys.serialize(), identity.keys.serialize());
  EsysTpm tpm(own_.connect(), identity.keys);
  EXPECT_TRUE(tpm.sign(Digest{}).ok());
}

TEST_F(ProvisionTpmTest, PlanChangesNothingAndIsRight) {
  const std::vector<TPM2_HANDLE> before = persistent();
  TpmConnection connection = own_.connect();
  const std::vector<ProvisionStep> plan = plan_provision(connection).value();
  ASSERT_EQ(plan.size(), 5U);
  EXPECT_FALSE(plan[0].exists);
  EXPECT_EQ(persistent(), before);
  const TpmIdentity identity = provision();
  EXPECT_EQ(plan[0].handle, identity.keys.storage_parent.handle);
  EXPECT_EQ(plan[3].handle, identity.epoch_index);
  EXPECT_EQ(plan[4].handle, identity.use_index);
  const std::vector<ProvisionStep> again = plan_provision(connection).value();
  for (const ProvisionStep& step : again) {
    EXPECT_TRUE(step.exists) << step.what;
  }
}

TEST_F(ProvisionTpmTest, RemoveTakesOursAndOnlyOurs) {
  const std::vector<TPM2_HANDLE> before = persistent();
  const TpmIdentity identity = provision();
  TpmConnection connection = own_.connect();
  TpmKeys mixed = identity.keys;
  mixed.storage_parent.public_area = identity.keys.signing_key.public_area;  // another Name
  EXPECT_FALSE(plan_removal(connection, mixed).value()[0].exists);
  ASSERT_TRUE(remove_tpm_keys(connection, mixed).ok());
  std::vector<TPM2_HANDLE> left = persistent();
  EXPECT_NE(std::find(left.begin(), left.end(), 0x81000001U), left.end());
  ASSERT_TRUE(remove_tpm_keys(connection, identity.keys).ok());
  EXPECT_EQ(persistent(), before);
  EXPECT_TRUE(remove_tpm_keys(connection, identity.keys).ok());
}

TEST_F(ProvisionTpmTest, TheEpochNeverRollsBack) {
  const TpmIdentity first = provision();
  TpmConnection connection = own_.connect();
  ASSERT_TRUE(remove_tpm_keys(connection, first.keys).ok());
  const TpmIdentity second = provision();
  EXPECT_GT(second.epoch, first.epoch);
  EXPECT_EQ(second.storage_parent.name(), first.storage_parent.name());
}

TEST_F(ProvisionTpmTest, UsesAreCountedOneByOneAndNeverRollBack) {
  const TpmIdentity first = provision();
  TpmConnection connection = own_.connect();
  EXPECT_EQ(read_use_count(connection, first.keys, first.use_index).value(), first.uses);
  ASSERT_TRUE(count_use(connection, first.keys, first.use_index).ok());
  EXPECT_EQ(read_use_count(connection, first.keys, first.use_index).value(), first.uses + 1);
  EXPECT_EQ(provision().uses, first.uses + 1);
  EXPECT_EQ(provision().epoch, first.epoch);
  ASSERT_TRUE(remove_tpm_keys(connection, first.keys).ok());
  EXPECT_FALSE(read_use_count(connection, first.keys, first.use_index).ok());
  EXPECT_FALSE(count_use(connection, first.keys, first.use_index).ok());
  EXPECT_GT(provision().uses, first.uses + 1);
}

TEST_F(ProvisionTpmTest, AnOwnedTpmIsRefusedAndNothingStays) {
  const std::vector<TPM2_HANDLE> before = persistent();
  // The endorsement hierarchy comes second: what was made in the owner's is taken back.
  for (const ESYS_TR hierarchy : {ESYS_TR_RH_ENDORSEMENT, ESYS_TR_RH_OWNER}) {
    set_auth(hierarchy);
    TpmConnection connection = own_.connect();
    const Result<TpmIdentity> result = provision_tpm(connection);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, Code::locked) << result.error().message;
    EXPECT_NE(result.error().message.find("authorization value"), std::string::npos);
    EXPECT_EQ(persistent(), before);
  }
}

}  // namespace
}  // namespace ckptseal
