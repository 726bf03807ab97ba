// SPDX-License-Identifier: Apache-2.0
//
// Key files, wrapping and unwrapping for public keys leave no copy of a secret where OpenSSL
// worked.
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "hybrid_vectors.h"
#include "keymgr/public_key/hybrid_key.h"
#include "keymgr/public_key/ml_kem_internal.h"
#include "keymgr/public_key/openssl_internal.h"
#include "keymgr/public_key/openssl_memory.h"
#include "keymgr/public_key/private_key.h"
#include "keymgr/public_key/secret_pem.h"
#include "leftovers.h"
#include "public_key_support.h"
#include "public_key_vectors.h"

namespace ckptseal {
namespace {

using test::LeftoverWatch;
using test::secret_of;

// As a program has to do it: before anything else uses OpenSSL.
const bool in_time = wipe_what_openssl_frees();

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

struct KeyCase {
  const char* name;
  std::string_view pkcs8;
  std::size_t secret_at;  // where 32 bytes of the private key are in it
};

class PublicKeyLeftovers : public testing::TestWithParam<KeyCase> {
 protected:
  static PublicKeyIdentity read(const Secret& file, const Secret* password = nullptr) {
    return read_private_key(file, password, "The key file").value();
  }

  Secret file = secret_of(*from_hex(GetParam().pkcs8));
  // Hidden from the watch, which knows the heap and the stack alone.
  Secret part = secret_of(file.view().subspan(GetParam().secret_at, 32));
};

INSTANTIATE_TEST_SUITE_P(Algorithms, PublicKeyLeftovers,
                         testing::Values(KeyCase{"p256", vectors::p256_key, 36},
                                         // The scalar of this vector has zeros in front.
                                         KeyCase{"p384", vectors::p384_key, 51},
                                         KeyCase{"x25519", vectors::x25519_key, 16},
                                         // In the first prime.
                                         KeyCase{"rsa", vectors::rsa_key, 600}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(PublicKeyLeftovers, NoneOfAPrivateKey) {
  ASSERT_TRUE(in_time);
  const SlotBody slot = PublicKeyRecipient(read(file).key(), {})
                            .wrap(random_secret(data_key_size).value(), some_checkpoint)
                            .value();
  const LeftoverWatch watch(part.view());
  ASSERT_TRUE(read(file).unwrap(slot, some_checkpoint).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

TEST_P(PublicKeyLeftovers, NoneOfTheDataKey) {
  PublicKeyIdentity identity = read(file);
  const Secret data_key = random_secret(data_key_size).value();
  const LeftoverWatch watch(data_key.view());
  const SlotBody slot =
      PublicKeyRecipient(identity.key(), {}).wrap(data_key, some_checkpoint).value();
  ASSERT_TRUE(identity.unwrap(slot, some_checkpoint).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

// The same file under a password, as OpenSSL writes it.
Secret encrypted(const Secret& file, const std::string& password) {
  const unsigned char* at = file.view().data();
  const OwnedKey key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(file.size())));
  const OwnedBio out(BIO_new(BIO_s_mem()));
  EXPECT_EQ(i2d_PKCS8PrivateKey_bio(out.get(), key.get(), EVP_aes_256_cbc(), password.data(),
                                    static_cast<int>(password.size()), nullptr, nullptr),
            1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return secret_of(as_bytes({text, static_cast<std::size_t>(size)}));
}

TEST_P(PublicKeyLeftovers, NoneOfAnEncryptedKey) {
  const Secret password = secret_of(as_bytes("x"));
  const Secret locked = encrypted(file, "x");
  const LeftoverWatch watch(part.view());
  (void)read(locked, &password);
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

TEST_P(PublicKeyLeftovers, NoneOfAPassword) {
  const Secret random = random_secret(16).value();
  const Secret password = secret_of(as_bytes(to_hex(random.view())));  // a string, freed by now
  const Secret locked = encrypted(file, std::string(as_text(password.view())));
  const LeftoverWatch watch(password.view());
  (void)read(locked, &password);
  EXPECT_EQ(watch.freed_with_it(), 0U);
}

// The same result twice: it is known when the second is made.
TEST_P(PublicKeyLeftovers, NoneOfASharedSecret) {
  const PublicKey recipient = read(file).key();
  if (recipient.algorithm() == KeyAlgorithm::rsa_oaep) return;
  const unsigned char* at = file.view().data();
  const OwnedKey own(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(file.size())));
  const OwnedKey peer = load_public_key(recipient.spki());
  const auto z = agree(own.get(), peer.get(), recipient.algorithm());
  ASSERT_TRUE(z.ok() && z.value());
  const LeftoverWatch watch(z.value()->view().first(32));
  ASSERT_TRUE(agree(own.get(), peer.get(), recipient.algorithm()).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

class HybridLeftovers : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(in_time);
    if (!test::openssl_has_ml_kem()) GTEST_SKIP() << "libcrypto has no ML-KEM before OpenSSL 3.5";
  }

  HybridIdentity read() { return HybridIdentity::from_file(file, "The key file").value(); }

  Secret file = secret_of(as_bytes(vectors::hybrid_private_pem));
  // X25519's, and d and z of ML-KEM.
  Secret both = *secret_pem_decode(std::string(hybrid_private_label), file).value();
};

TEST_F(HybridLeftovers, NoneOfAPrivateKey) {
  const SlotBody slot = HybridRecipient(*read().key(), "")
                            .wrap(random_secret(data_key_size).value(), some_checkpoint)
                            .value();
  for (const std::size_t at : {0U, 32U, 64U}) {
    const LeftoverWatch watch(both.view().subspan(at, 32));
    HybridIdentity identity = read();
    ASSERT_TRUE(identity.unwrap(slot, some_checkpoint).ok());
    ASSERT_TRUE(identity.pem().ok());
    EXPECT_EQ(watch.freed_with_it(), 0U) << at;
    EXPECT_FALSE(watch.still_there()) << at;
  }
}

TEST_F(HybridLeftovers, NoneOfTheDataKey) {
  HybridIdentity identity = read();
  const Secret data_key = random_secret(data_key_size).value();
  const LeftoverWatch watch(data_key.view());
  const SlotBody slot =
      HybridRecipient(*identity.key(), "").wrap(data_key, some_checkpoint).value();
  ASSERT_TRUE(identity.unwrap(slot, some_checkpoint).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

TEST_F(HybridLeftovers, NoneOfASharedSecret) {
  const Secret seed = secret_of(both.view().subspan(32));
  const Encapsulated made = encapsulate(read().key()->ml_kem()).value();
  const LeftoverWatch watch(made.shared.view());
  const Secret again = decapsulate(seed, made.ciphertext).value();
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
  EXPECT_TRUE(same_bytes(again.view(), made.shared.view()));
}

TEST_F(HybridLeftovers, NoneOfTheFile) {
  const LeftoverWatch watch(file.view().subspan(50, 32));
  ASSERT_TRUE(read().pem().ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

}  // namespace
}  // namespace ckptseal
