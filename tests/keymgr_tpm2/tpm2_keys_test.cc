// SPDX-License-Identifier: Apache-2.0
//
// tpm/keys of the state folder: what is written is read, and nothing else is.
#include <gtest/gtest.h>

#include "keymgr/tpm2/provision.h"
#include "own_tpm.h"

namespace ckptseal {
namespace {

TEST(TpmKeysTest, ReadsWhatItWroteAndNothingElse) {
  const testing::OwnTpm own;
  TpmConnection connection = own.connect();
  const TpmKeys keys = provision_tpm(connection).value().keys;
  const Bytes good = keys.serialize();
  const Result<TpmKeys> read = TpmKeys::parse(good);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read.value().serialize(), good);
  EXPECT_EQ(read.value().epoch_index, keys.epoch_index);
  EXPECT_EQ(read.value().signing_key.public_area.name(), keys.signing_key.public_area.name());

  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(TpmKeys::parse(ByteView(good).first(size)).ok()) << size;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(TpmKeys::parse(longer).ok());
  // Whatever a changed byte still makes of it, it is written back as it was read.
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes changed = good;
    changed[i] ^= 0xff;
    const Result<TpmKeys> parsed = TpmKeys::parse(changed);
    if (parsed.ok()) {
      EXPECT_EQ(parsed.value().serialize(), changed) << i;
    } else {
      EXPECT_EQ(parsed.error().code, Code::integrity);
    }
    EXPECT_TRUE(i >= 9 || !parsed.ok()) << i;
  }
}

}  // namespace
}  // namespace ckptseal
