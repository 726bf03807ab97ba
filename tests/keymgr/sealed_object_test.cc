// SPDX-License-Identifier: Apache-2.0
//
// Offline sealing, judged in software: the object is opened again here by the steps that
// TPM2_Import takes (TPM 2.0 Part 1, "Outer Duplication Wrapper"), with a parent whose private half
// the test knows. A TPM's own verdict is in sealed_object_swtpm_test.cc.
#include "keymgr/tpm2/sealed_object.h"

#include <gtest/gtest.h>
#include <nettle/aes.h>
#include <nettle/cfb.h>

#include <set>

#include "ecc_area.h"
#include "keymgr/tpm2/ecdh_p256.h"
#include "keymgr/tpm2/kdf.h"

namespace ckptseal {
namespace {

using test::EccArea;

struct SoftwareParent {
  SoftwareParent()
      : scalar(random_p256_scalar().value()),
        point(p256_public_point(scalar).value()),
        key(TpmPublic::parse(test::storage_area(point).marshal()).value()) {}

  Secret scalar;
  EcPoint point;
  TpmPublic key;
};

Digest a_policy() { return Sha256::of(as_bytes("policy")); }

struct Opened {
  Bytes seed_value;
  Bytes secret;
};

// nullopt when a TPM would refuse.
std::optional<Opened> open_object(const SoftwareParent& parent, const SealedObject& object) {
  ByteReader point(object.seed);
  point.u16();
  const EcPoint ephemeral = {point.array<32>(), (point.u16(), point.array<32>())};
  Result<Secret> z = p256_shared_x(parent.scalar, ephemeral);
  if (!point.at_end() || !z.ok()) return std::nullopt;
  const Secret seed = kdfe(z.value(), "DUPLICATE", ephemeral.x, parent.point.x, 32).value();
  const TpmName name = TpmPublic::parse(object.public_area).value().name();

  ByteReader in(object.duplicate);
  const Digest integrity = (in.u16(), in.array<32>());
  const ByteView encrypted = in.rest();
  const Secret integrity_key = kdfa(seed, "INTEGRITY", {}, {}, 32).value();
  const Bytes covered = ByteWriter().bytes(encrypted).bytes(name).take();
  if (hmac_sha256(integrity_key.view(), covered) != integrity) return std::nullopt;

  const Secret storage_key = kdfa(seed, "STORAGE", name, {}, 16).value();
  aes128_ctx cipher;
  aes128_set_encrypt_key(&cipher, storage_key.view().data());
  ByteArray<16> iv{};
  Bytes plain(encrypted.size());
  cfb_decrypt(&cipher, reinterpret_cast<nettle_cipher_func*>(aes128_encrypt), iv.size(), iv.data(),
              plain.size(), plain.data(), encrypted.data());
  ByteReader sensitive(plain);
  if (sensitive.u16() != plain.size() - 2 || sensitive.u16() != 0x0008 || sensitive.u16() != 0) {
    return std::nullopt;
  }
  Opened out;
  for (Bytes* part : {&out.seed_value, &out.secret}) {
    const ByteView bytes = sensitive.view(sensitive.u16());
    part->assign(bytes.begin(), bytes.end());
  }
  if (!sensitive.at_end()) return std::nullopt;
  return out;
}

TEST(SealToParent, TheParentOpensIt) {
  const SoftwareParent parent;
  for (const std::size_t size : {1U, 16U, 31U, 32U, 33U, 127U, 128U}) {
    const Secret secret = random_secret(size).value();
    const SealedObject object = seal_to_parent(parent.key, a_policy(), secret).value();
    const std::optional<Opened> opened = open_object(parent, object);
    ASSERT_TRUE(opened) << size;
    EXPECT_TRUE(same_bytes(opened->secret, secret.view())) << size;
    EXPECT_EQ(opened->seed_value.size(), 32U);
    // unique = H(seedValue || secret).
    const Digest unique = Sha256().update(opened->seed_value).update(secret.view()).finish();
    EXPECT_TRUE(same_bytes(ByteView(object.public_area).last(32), unique));
  }
}

TEST(SealToParent, HasTheSizesOfTheSpecification) {
  const SoftwareParent parent;
  const Secret secret = random_secret(32).value();
  const SealedObject object = seal_to_parent(parent.key, a_policy(), secret).value();
  EXPECT_EQ(object.public_area.size() + object.duplicate.size() + object.seed.size() + 6, 260U);
  EXPECT_EQ(policy_of(object).value().auth_policy, a_policy());
}

TEST(SealToParent, OpensForNoOtherParentAndNotWhenAltered) {
  const SoftwareParent parent;
  const SoftwareParent other;
  const Secret secret = random_secret(32).value();
  const SealedObject object = seal_to_parent(parent.key, a_policy(), secret).value();
  ASSERT_TRUE(open_object(parent, object));
  EXPECT_FALSE(open_object(other, object));

  SealedObject altered = object;
  altered.public_area[10] ^= 1;  // the policy
  EXPECT_FALSE(open_object(parent, altered));
  for (std::size_t at = 2; at < object.duplicate.size(); ++at) {
    altered = object;
    altered.duplicate[at] ^= 1;
    EXPECT_FALSE(open_object(parent, altered)) << at;
  }
}

TEST(SealToParent, NothingRepeats) {
  const SoftwareParent parent;
  const Secret secret = random_secret(32).value();
  std::set<Bytes> parts;
  for (int i = 0; i < 20; ++i) {
    const SealedObject object = seal_to_parent(parent.key, a_policy(), secret).value();
    EXPECT_TRUE(parts.insert(object.public_area).second);
    EXPECT_TRUE(parts.insert(object.duplicate).second);
    EXPECT_TRUE(parts.insert(object.seed).second);
  }
}

TEST(SealToParent, RefusesWhatIsNoParent) {
  const SoftwareParent parent;
  const Secret secret = random_secret(32).value();
  const auto refused = [&](const EccArea& area) {
    const auto object =
        seal_to_parent(TpmPublic::parse(area.marshal()).value(), a_policy(), secret);
    return !object.ok() && object.error().code == Code::integrity;
  };
  EccArea area = test::storage_area(parent.point);
  EXPECT_FALSE(refused(area));
  area.attributes &= ~0x2U;  // fixedTPM
  EXPECT_TRUE(refused(area));
  EXPECT_TRUE(refused(test::ecdsa_area(0x00050472)));
  area = test::storage_area(parent.point);
  area.y[31] ^= 1;  // off the curve
  EXPECT_TRUE(refused(area));
  EXPECT_TRUE(refused(EccArea()));
}

TEST(SealToParent, RefusesASecretThatATpmCannotHold) {
  const SoftwareParent parent;
  EXPECT_FALSE(seal_to_parent(parent.key, a_policy(), random_secret(129).value()).ok());
}

TEST(AuthPolicyOf, ReadsOneKindOfObjectOnly) {
  const SoftwareParent parent;
  const SealedObject object =
      seal_to_parent(parent.key, a_policy(), random_secret(32).value()).value();
  for (std::size_t at = 0; at < object.public_area.size(); ++at) {
    SealedObject altered = object;
    altered.public_area[at] ^= 1;
    const Result<ObjectPolicy> policy = policy_of(altered);
    const bool in_policy = at >= 10 && at < 42;
    const bool in_unique = at >= 46;
    // Bit 8 of the attributes is none that the format has; noDA, bit 10, may be either way.
    EXPECT_EQ(policy.ok(), in_policy || in_unique) << at;
    if (in_policy) {
      EXPECT_NE(policy.value().auth_policy, a_policy()) << at;
    }
    if (!policy.ok()) {
      EXPECT_EQ(policy.error().code, Code::integrity);
    }
  }
  for (std::size_t size = 0; size < object.public_area.size(); ++size) {
    SealedObject cut = object;
    cut.public_area.resize(size);
    EXPECT_FALSE(policy_of(cut).ok()) << size;
  }
  SealedObject longer = object;
  longer.public_area.push_back(0);
  EXPECT_FALSE(policy_of(longer).ok());
}

}  // namespace
}  // namespace ckptseal
