// SPDX-License-Identifier: Apache-2.0
//
// What works with a secret leaves no copy of it where nettle, GMP and the TPM software stack
// worked.
#include <gmp.h>
#include <gtest/gtest.h>

#include "ecc_area.h"
#include "keymgr/tpm2/ecdh_p256.h"
#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/kdf.h"
#include "keymgr/tpm2/provision.h"
#include "keymgr/tpm2/sealed_object.h"
#include "leftovers.h"
#include "own_tpm.h"

namespace ckptseal {
namespace {

using test::LeftoverWatch;

// GnuTLS may have told GMP to wipe what it frees. That is undocumented, so it must not be what
// makes these tests pass: back to GMP's own functions before anything of ours ran.
const bool gmp_has_its_own_functions = [] {
  std::uint8_t byte = 0;
  const Status started = fill_random({&byte, 1});
  mp_set_memory_functions(nullptr, nullptr, nullptr);
  return started.ok();
}();

EcPoint a_point() { return p256_public_point(random_p256_scalar().value()).value(); }

TEST(LeftoverWatch, FindsWhatIsFreedAndWhatIsThere) {
  const Secret secret = random_secret(32).value();
  const LeftoverWatch watch(secret.view());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
  {
    Bytes copy(secret.view().begin(), secret.view().end());
    EXPECT_TRUE(watch.still_there());
    copy.resize(copy.capacity() + 1);  // moves
    EXPECT_EQ(watch.freed_with_it(), 1U);
  }
  EXPECT_EQ(watch.freed_with_it(), 2U);
}

TEST(Leftovers, NoneOfWhatIsSealed) {
  const TpmPublic parent = TpmPublic::parse(test::storage_area(a_point()).marshal()).value();
  const Secret secret = random_secret(32).value();
  const LeftoverWatch watch(secret.view());
  ASSERT_TRUE(seal_to_parent(parent, Sha256::of(as_bytes("policy")), secret).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

TEST(Leftovers, NoneOfAScalar) {
  ASSERT_TRUE(gmp_has_its_own_functions);
  const EcPoint point = a_point();
  const Secret scalar = random_p256_scalar().value();
  const LeftoverWatch watch(scalar.view());
  ASSERT_TRUE(p256_public_point(scalar).ok());
  ASSERT_TRUE(p256_shared_x(scalar, point).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

// The same result twice: it is known when the second is made.
TEST(Leftovers, NoneOfASharedCoordinate) {
  ASSERT_TRUE(gmp_has_its_own_functions);
  const EcPoint point = a_point();
  const Secret scalar = random_p256_scalar().value();
  const Secret x = p256_shared_x(scalar, point).value();
  const LeftoverWatch watch(x.view());
  ASSERT_TRUE(p256_shared_x(scalar, point).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

TEST(Leftovers, NoneOfDerivedKeys) {
  const Secret z = random_secret(32).value();
  const Secret seed = kdfe(z, "DUPLICATE", Bytes(32, 1), Bytes(32, 2), 32).value();
  const Secret key = kdfa(seed, "INTEGRITY", {}, {}, 32).value();
  for (const Secret* secret : {&z, &seed, &key}) {
    const LeftoverWatch watch(secret->view());
    ASSERT_TRUE(kdfe(z, "DUPLICATE", Bytes(32, 1), Bytes(32, 2), 32).ok());
    ASSERT_TRUE(kdfa(seed, "INTEGRITY", {}, {}, 32).ok());
    EXPECT_EQ(watch.freed_with_it(), 0U);
    EXPECT_FALSE(watch.still_there());
  }
}

// Neither in ESYS's buffers nor on the stack.
TEST(Leftovers, NoneOfWhatATpmUnsealed) {
  const testing::OwnTpm own;
  TpmConnection connection = own.connect();
  const TpmIdentity identity = provision_tpm(connection).value();
  EsysTpm tpm(std::move(connection), identity.keys);
  const PcrValues values = tpm.read_pcrs(PcrSelection::standard()).value();
  const Secret secret = random_secret(32).value();
  const Digest policy = policy_pcr(values.selection, values.digest());
  const SealedObject object = seal_to_parent(identity.storage_parent, policy, secret).value();
  const LeftoverWatch watch(secret.view());
  const Result<Secret> opened = tpm.unseal(object, PcrSelection::standard());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

}  // namespace
}  // namespace ckptseal
