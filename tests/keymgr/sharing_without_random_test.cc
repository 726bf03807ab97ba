// SPDX-License-Identifier: Apache-2.0
//
// Without random bytes nothing is shared: libgfshare could not be told, and its shares would be the
// key itself. The GnuTLS function that makes them is replaced in this program.
#include <gnutls/crypto.h>
#include <gtest/gtest.h>
#include <sys/random.h>

#include "base/crypto.h"
#include "keymgr/recipient.h"
#include "keymgr/recovery/recovery_key.h"
#include "keymgr/threshold/shares.h"

namespace {

bool has_random_bytes = true;

}  // namespace

extern "C" int gnutls_rnd(gnutls_rnd_level_t, void* data, std::size_t size) {
  const bool got = has_random_bytes && getrandom(data, size, 0) == static_cast<ssize_t>(size);
  return got ? 0 : GNUTLS_E_RANDOM_FAILED;
}

namespace ckptseal {
namespace {

class WithoutRandom : public testing::Test {
 protected:
  ~WithoutRandom() override { has_random_bytes = true; }
};

TEST_F(WithoutRandom, NoKeyIsShared) {
  const Secret data_key = random_secret(data_key_size).value();
  has_random_bytes = false;
  const auto shares = split_key(data_key, 2, 3);
  ASSERT_FALSE(shares.ok());
  EXPECT_EQ(shares.error().code, Code::failed);
  has_random_bytes = true;
  EXPECT_TRUE(split_key(data_key, 2, 3).ok());
}

TEST_F(WithoutRandom, SharesAreJoined) {
  const Secret data_key = random_secret(data_key_size).value();
  const std::vector<Share> shares = split_key(data_key, 2, 2).value();
  has_random_bytes = false;
  EXPECT_TRUE(equal_constant_time(join_shares(shares).value().view(), data_key.view()));
}

TEST_F(WithoutRandom, NoRecoveryKeyIsMade) {
  has_random_bytes = false;
  EXPECT_FALSE(RecoveryKey::generate().ok());
}

}  // namespace
}  // namespace ckptseal
