// SPDX-License-Identifier: Apache-2.0
//
// The file of a record of uses, and its lock. docs/state.md, "uses".
#include "provisioning/use_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/output_file.h"
#include "temporary_folder.h"

namespace ckptseal {
namespace {

class UseFileTest : public testing::Test {
 protected:
  test::TemporaryFolder folder;
  std::string path = folder.path() + "/uses";
};

TEST_F(UseFileTest, IsReadAsItWasWritten) {
  const Result<std::optional<UseRecord>> none = read_uses(path);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none.value().has_value());
  UseRecord record(0x01800f10, 1, 1000);
  ASSERT_TRUE(write_uses(path, record).ok());
  ASSERT_TRUE(record.count({1}, 2, 1000).ok());
  ASSERT_TRUE(write_uses(path, record).ok());
  const Result<std::optional<UseRecord>> there = read_uses(path);
  ASSERT_TRUE(there.ok());
  EXPECT_EQ(there.value(), record);
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(UseFileTest, IsRefusedWhenDamagedOrOthersMayWriteIt) {
  ASSERT_TRUE(write_uses(path, UseRecord(0x01800f10, 1, 1000)).ok());
  ASSERT_EQ(chmod(path.c_str(), 0622), 0);
  EXPECT_EQ(read_uses(path).error().code, Code::failed);
  ASSERT_TRUE(write_file(path, as_bytes("CKSUSES1"), 0600, OutputFile::Replace::allowed).ok());
  EXPECT_EQ(read_uses(path).error().code, Code::integrity);
  const Bytes long_one(UseRecord::largest_size + 1);
  ASSERT_TRUE(write_file(path, long_one, 0600, OutputFile::Replace::allowed).ok());
  EXPECT_FALSE(read_uses(path).ok());
}

TEST_F(UseFileTest, OneAtATimeHoldsTheLock) {
  Result<UniqueFd> first = lock_uses(path);
  ASSERT_TRUE(first.ok());
  const Result<UniqueFd> second = lock_uses(path, std::chrono::milliseconds(0));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::unavailable);
  first.value().reset();
  EXPECT_TRUE(lock_uses(path, std::chrono::milliseconds(0)).ok());
}

}  // namespace
}  // namespace ckptseal
