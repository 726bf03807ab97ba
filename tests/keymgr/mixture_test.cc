// SPDX-License-Identifier: Apache-2.0
//
// Which kinds of slots stand in one file without being told to.
#include "keymgr/threshold/mixture.h"

#include <gtest/gtest.h>

#include "keymgr/threshold/threshold.h"

namespace ckptseal {
namespace {

using Kinds = std::vector<std::uint16_t>;

TEST(Mixture, HybridSlotsStandAlone) {
  for (const Kinds& good : {Kinds{}, Kinds{6}, Kinds{6, 6, 6}, Kinds{1}, Kinds{1, 2, 3, 4, 5, 9},
                            Kinds{6, 2}, Kinds{4, 6, 2}}) {
    EXPECT_TRUE(check_mixture(good).ok());
  }
  for (const std::uint16_t other : Kinds{1, 3, 5, 7, 65535}) {
    for (const Kinds& bad : {Kinds{6, other}, Kinds{other, 6}, Kinds{6, 6, other, 6}}) {
      const Status status = check_mixture(bad);
      ASSERT_FALSE(status.ok()) << other;
      EXPECT_EQ(status.error().code, Code::usage);
      EXPECT_NE(status.error().message.find("--mix-classical"), std::string::npos);
    }
  }
}

TEST(Mixture, SharesCountAsSlots) {
  EXPECT_EQ(kinds_in({6, Bytes(1)}), Kinds{6});
  ThresholdSlot slot;
  slot.needed = 2;
  slot.shares = {{1, Bytes(1)}, {3, Bytes(1)}, {4, Bytes(1)}};
  EXPECT_EQ(kinds_in({5, slot.serialize()}), (Kinds{1, 3, 4}));
  EXPECT_EQ(kinds_in({5, Bytes(3)}), Kinds{5});
}

}  // namespace
}  // namespace ckptseal
