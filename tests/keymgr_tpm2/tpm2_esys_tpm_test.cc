// SPDX-License-Identifier: Apache-2.0
//
// Unsealing, signing and reading PCRs on a provisioned TPM, each with what must not work.
#include <gtest/gtest.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <string>

#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/provision.h"
#include "own_tpm.h"

namespace ckptseal {
namespace {

using testing::OwnTpm;

class EsysTpmTest : public ::testing::Test {
 protected:
  static TpmIdentity provision(const OwnTpm& tpm) {
    TpmConnection connection = tpm.connect();
    Result<TpmIdentity> identity = provision_tpm(connection);
    EXPECT_TRUE(identity.ok()) << (identity.ok() ? "" : identity.error().message);
    return std::move(identity).value();
  }
  static SealedObject seal(const TpmPublic& parent, EsysTpm& state_of) {
    const PcrValues values = state_of.read_pcrs(PcrSelection::standard()).value();
    const Digest policy = policy_pcr(values.selection, values.digest());
    return seal_to_parent(parent, policy, Secret::copy_of(secret()).value()).value();
  }
  static const Bytes& secret() {
    static const Bytes bytes(32, 0x5a);
    return bytes;
  }
  static Code code_of(const Result<Secret>& result) {
    return result.ok() ? Code{} : result.error().code;
  }
};

TEST_F(EsysTpmTest, UnsealsWithSixCommands) {
  const OwnTpm own;
  const TpmIdentity identity = provision(own);
  EsysTpm tpm(own.connect(), identity.keys);
  const SealedObject object = seal(identity.storage_parent, tpm);
  tpm.connection().forget_commands();
  const Result<Secret> opened = tpm.unseal(object, PcrSelection::standard());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_TRUE(same_bytes(opened.value().view(), secret()));
  const std::vector<std::uint32_t> expected = {TPM2_CC_Import,           TPM2_CC_Load,
                                               TPM2_CC_StartAuthSession, TPM2_CC_PolicyPCR,
                                               TPM2_CC_Unseal,           TPM2_CC_FlushContext};
  EXPECT_EQ(tpm.connection().commands(), expected);
  EXPECT_LE(tpm.connection().commands().size(), 9U);
}

TEST_F(EsysTpmTest, UnsealsAfterKeysWereWrittenAndRead) {
  const OwnTpm own;
  const TpmIdentity identity = provision(own);
  const Result<TpmKeys> read = TpmKeys::parse(identity.keys.serialize());
  ASSERT_TRUE(read.ok());
  EsysTpm tpm(own.connect(), read.value());
  EXPECT_TRUE(tpm.unseal(seal(identity.storage_parent, tpm), PcrSelection::standard()).ok());
}

TEST_F(EsysTpmTest, OtherPcrsDoNotUnseal) {
  const OwnTpm own;
  const TpmIdentity identity = provision(own);
  EsysTpm tpm(own.connect(), identity.keys);
  const SealedObject object = seal(identity.storage_parent, tpm);
  own.extend(7);
  EXPECT_EQ(code_of(tpm.unseal(object, PcrSelection::standard())), Code::policy);
  EXPECT_EQ(own.loaded(), 0U);
  // Nor does another selection.
  EXPECT_EQ(code_of(tpm.unseal(object, PcrSelection::of_mask(1).value())), Code::policy);
}

TEST_F(EsysTpmTest, AnotherTpmDoesNotUnseal) {
  const OwnTpm own_a("a");
  const OwnTpm own_b("b");
  const TpmIdentity a = provision(own_a);
  const TpmIdentity b = provision(own_b);
  EXPECT_NE(a.storage_parent.name(), b.storage_parent.name());
  EsysTpm tpm_b(own_b.connect(), b.keys);
  const SealedObject for_a = seal(a.storage_parent, tpm_b);
  EXPECT_EQ(code_of(tpm_b.unseal(for_a, PcrSelection::standard())), Code::integrity);
}

// Whoever puts another TPM behind the pinned parent's handle gets no session and no secret.
TEST_F(EsysTpmTest, AnExchangedTpmIsFoundOut) {
  const OwnTpm own_a("a");
  const OwnTpm own_b("b");
  const TpmIdentity a = provision(own_a);
  const TpmIdentity b = provision(own_b);
  EsysTpm exchanged(own_b.connect(), a.keys);
  const SealedObject for_b = seal(b.storage_parent, exchanged);
  const Result<Secret> opened = exchanged.unseal(for_b, PcrSelection::standard());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::integrity)
      << opened.error().message << std::hex << opened.error().cause;
  EXPECT_EQ(own_b.loaded(), 0U);
  const Result<EcdsaSignature> signature = exchanged.sign(Digest{});
  ASSERT_FALSE(signature.ok());
  EXPECT_EQ(signature.error().code, Code::integrity);
}

TEST_F(EsysTpmTest, AnUnprovisionedTpmSaysProvision) {
  const OwnTpm own_a("a");
  const OwnTpm bare("b");
  const TpmIdentity a = provision(own_a);
  EsysTpm tpm(bare.connect(), a.keys);
  const Result<Secret> opened = tpm.unseal(seal(a.storage_parent, tpm), PcrSelection::standard());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::unavailable);
  EXPECT_NE(opened.error().message.find("provision"), std::string::npos);
}

TEST_F(EsysTpmTest, EveryFlippedByteOfTheSealedObjectIsFoundOut) {
  const OwnTpm own;
  const TpmIdentity identity = provision(own);
  EsysTpm tpm(own.connect(), identity.keys);
  const SealedObject good = seal(identity.storage_parent, tpm);
  for (Bytes SealedObject::*part :
       {&SealedObject::public_area, &SealedObject::duplicate, &SealedObject::seed}) {
    for (std::size_t i = 0; i < (good.*part).size(); ++i) {
      SealedObject bad = good;
      (bad.*part)[i] ^= 1;
      const Result<Secret> opened = tpm.unseal(bad, PcrSelection::standard());
      ASSERT_FALSE(opened.ok()) << i;
      EXPECT_EQ(opened.error().code, Code::integrity)
          << i << ' ' << opened.error().message << std::hex << opened.error().cause;
    }
    for (const std::size_t size : {std::size_t{0}, (good.*part).size() - 1}) {
      SealedObject bad = good;
      (bad.*part).resize(size);
      EXPECT_EQ(code_of(tpm.unseal(bad, PcrSelection::standard())), Code::integrity) << size;
    }
    SealedObject bad = good;
    (bad.*part).resize(5000);
    EXPECT_EQ(code_of(tpm.unseal(bad, PcrSelection::standard())), Code::integrity);
  }
  EXPECT_TRUE(tpm.unseal(good, PcrSelection::standard()).ok());
}

TEST_F(EsysTpmTest, DamagedKeysAreFoundOut) {
  const OwnTpm own;
  const TpmIdentity identity = provision(own);
  EsysTpm good(own.connect(), identity.keys);
  const SealedObject object = seal(identity.storage_parent, good);
  for (std::size_t i = 0; i < identity.keys.storage_parent_blob.size(); ++i) {
    TpmKeys keys = identity.keys;
    keys.storage_parent_blob[i] ^= 1;
    EsysTpm tpm(own.connect(), keys);
    EXPECT_EQ(code_of(tpm.unseal(object, PcrSelection::standard())), Code::integrity) << i;
  }
}

TEST_F(EsysTpmTest, Signs) {
  const OwnTpm own;
  const TpmIdentity identity = provision(own);
  EsysTpm tpm(own.connect(), identity.keys);
  const Digest digest = Sha256::of(as_bytes("manifest"));
  tpm.connection().forget_commands();
  const Result<EcdsaSignature> signature = tpm.sign(digest);
  ASSERT_TRUE(signature.ok()) << signature.error().message;
  EXPECT_EQ(tpm.connection().commands(), std::vector<std::uint32_t>{TPM2_CC_Sign});
  const EcPoint point = identity.signing_key.p256_point().value();
  EXPECT_TRUE(verify_p256(point, digest, signature.value()));
  EXPECT_FALSE(verify_p256(point, Sha256::of(as_bytes("other")), signature.value()));
}

TEST_F(EsysTpmTest, ReadsAllPcrs) {
  const OwnTpm own;
  TpmConnection connection = own.connect();
  const PcrSelection all = PcrSelection::of_mask(0xfffbff).value();
  const PcrValues before = read_pcrs(connection, all).value();
  ASSERT_EQ(before.values.size(), 23U);
  own.extend(3);
  own.extend(15);
  const PcrValues after = read_pcrs(connection, all).value();
  EXPECT_EQ(before.differing(after), (std::vector<unsigned>{3, 15}));
}

}  // namespace
}  // namespace ckptseal
