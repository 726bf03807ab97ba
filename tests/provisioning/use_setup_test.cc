// SPDX-License-Identifier: Apache-2.0
//
// The record of uses of a host that is provisioned, again, cut short, with another's record or
// none: no use is ever won by it. docs/state.md, "uses".
#include "provisioning/use_setup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fake_provisioning_tpm.h"
#include "temporary_folder.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;
constexpr ByteArray<16> checkpoint{1};

class UseSetupTest : public testing::Test {
 protected:
  // What it warns of.
  std::vector<std::string> provision(Seconds now = 1000) {
    ProvisionRequest request;
    request.default_name = "host-a";
    request.now = now;
    const Result<ProvisionOutcome> outcome = provision_host(state, request, chip.opener());
    EXPECT_TRUE(outcome.ok()) << outcome.error().message;
    return outcome.ok() ? outcome.value().warnings : std::vector<std::string>();
  }
  UseRecord record() { return read_uses(state.uses_path()).value().value(); }
  // One use, whole or cut before the counter follows.
  void use(bool cut = false) {
    UseRecord changed = record();
    ASSERT_TRUE(changed.count(checkpoint, 9, 5000).ok());
    ASSERT_TRUE(write_uses(state.uses_path(), changed).ok());
    if (!cut) ++chip.uses;
  }
  void expect_made_anew(const std::string& why, Seconds since) {
    const std::vector<std::string> warnings = provision(2000);
    ASSERT_EQ(warnings.size(), 1U) << why;
    EXPECT_NE(warnings[0].find(why), std::string::npos) << warnings[0];
    EXPECT_EQ(record(), UseRecord(0x01800f10, chip.uses, since));
    EXPECT_TRUE(provision(2500).empty());
  }

  test::TemporaryFolder folder;
  State state{folder.path() + "/state"};
  test::FakeChip chip;
};

TEST_F(UseSetupTest, TheFirstRefusesWhatIsOlderAndSaysNothing) {
  EXPECT_TRUE(provision().empty());
  EXPECT_EQ(record(), UseRecord(0x01800f10, chip.uses, 1000));
}

TEST_F(UseSetupTest, AGoodRecordStays) {
  provision();
  use();
  const UseRecord before = record();
  EXPECT_TRUE(provision(2000).empty());
  EXPECT_EQ(record(), before);
  use(true);  // cut short: one ahead of its counter
  const UseRecord ahead = record();
  EXPECT_TRUE(provision(2000).empty());
  EXPECT_EQ(record(), ahead);
}

TEST_F(UseSetupTest, WhatIsGoneOrDamagedIsMadeAnewAndSaid) {
  provision();
  use();
  fs::remove(state.uses_path());
  expect_made_anew("was missing", 2001);
  std::ofstream(state.uses_path(), std::ios::app) << "x";
  expect_made_anew("was damaged", 2001);
  use();
  chip.has_use_counter = false;
  expect_made_anew("had lost its counter", 2001);
}

TEST_F(UseSetupTest, ARecordOfAnotherMomentIsMadeAnewAndSaid) {
  provision();
  const UseRecord earlier = record();
  use();
  use();
  ASSERT_TRUE(write_uses(state.uses_path(), earlier).ok());
  expect_made_anew("was not of the present moment", 2001);
  ASSERT_TRUE(write_uses(state.uses_path(), UseRecord(0x01800f11, chip.uses, 1000)).ok());
  expect_made_anew("was not of the present moment", 2001);
  ASSERT_TRUE(write_uses(state.uses_path(), UseRecord(0x01800f10, chip.uses + 2, 9000)).ok());
  expect_made_anew("was not of the present moment", 9000);  // the clock went back since
}

// The one that is ahead, too, which a crash left and damage hid meanwhile.
TEST_F(UseSetupTest, NoEarlierRecordAgreesAfterwards) {
  provision();
  std::vector<UseRecord> earlier;
  for (int i = 0; i < 3; ++i) {
    earlier.push_back(record());
    use();
  }
  earlier.push_back(record());
  use(true);
  earlier.push_back(record());
  fs::remove(state.uses_path());
  provision();
  for (const UseRecord& one : earlier) {
    EXPECT_FALSE(agrees(one, 0x01800f10, chip.uses));
  }
}

TEST_F(UseSetupTest, ACallThatFailedIsRepairedByRunningItAgain) {
  for (int call = 0;; ++call) {
    fs::remove_all(state.folder());
    provision();
    use();
    fs::remove(state.uses_path());
    chip.calls = 0;
    chip.fails_at = call;
    ProvisionRequest request;
    request.now = 3000;
    const bool done = provision_host(state, request, chip.opener()).ok();
    chip.fails_at = -1;
    if (done) break;
    provision(4000);
    EXPECT_TRUE(agrees(record(), 0x01800f10, chip.uses)) << call;
    EXPECT_GT(record().since(), 1000U) << call;
  }
}

TEST_F(UseSetupTest, RemovalTakesItAway) {
  provision();
  ASSERT_TRUE(remove_host(state, {}, chip.opener()).ok());
  EXPECT_FALSE(fs::exists(state.folder()));
  EXPECT_FALSE(chip.has_use_counter);
}

}  // namespace
}  // namespace ckptseal
