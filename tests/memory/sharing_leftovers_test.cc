// SPDX-License-Identifier: Apache-2.0
//
// Sharing a data key leaves neither it nor a share where libgfshare worked, whose own way to wipe
// depends on the source of random bytes that it is given.
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "keymgr/recipient.h"
#include "keymgr/threshold/shares.h"
#include "leftovers.h"

namespace ckptseal {
namespace {

using test::LeftoverWatch;

TEST(SharingLeftovers, NoneOfAKeyThatIsSplit) {
  const Secret data_key = random_secret(data_key_size).value();
  const LeftoverWatch watch(data_key.view());
  ASSERT_TRUE(split_key(data_key, 3, 5).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

TEST(SharingLeftovers, NoneOfAKeyThatIsJoined) {
  const Secret data_key = random_secret(data_key_size).value();
  const std::vector<Share> shares = split_key(data_key, 3, 3).value();
  const LeftoverWatch watch(data_key.view());
  ASSERT_TRUE(join_shares(shares).ok());
  EXPECT_EQ(watch.freed_with_it(), 0U);
  EXPECT_FALSE(watch.still_there());
}

TEST(SharingLeftovers, NoneOfAShare) {
  const Secret data_key = random_secret(data_key_size).value();
  const std::vector<Share> shares = split_key(data_key, 2, 2).value();
  for (const Share& share : shares) {
    const LeftoverWatch watch(share.value.view());
    ASSERT_TRUE(join_shares(shares).ok());
    EXPECT_EQ(watch.freed_with_it(), 0U);
    EXPECT_FALSE(watch.still_there());
  }
}

}  // namespace
}  // namespace ckptseal
