// SPDX-License-Identifier: Apache-2.0
#include "keymgr/pkcs11/module_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "../base/temporary_folder.h"
#include "base/process.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

constexpr std::chrono::milliseconds short_patience(50);
constexpr const char* module_path = "/usr/lib/some/libmodule.so";

class ModuleLockTest : public testing::Test {
 protected:
  static ModuleLock held(const std::string& name, const std::vector<std::string>& folders) {
    return ModuleLock::take(name, folders, short_patience).value();
  }
  // With the lock of `name` in `folders` held already.
  static bool can_be_had(const std::string& name, const std::vector<std::string>& folders) {
    const Result<ModuleLock> second = ModuleLock::take(name, folders, short_patience);
    return second.ok() || second.error().code != Code::unavailable;
  }

  TemporaryFolder folder_;
  std::string locks_ = folder_ / "locks";
};

TEST_F(ModuleLockTest, HasALimitAndSaysSo) {
  const ModuleLock first = held(module_path, {locks_});
  const Result<ModuleLock> second = ModuleLock::take(module_path, {locks_}, short_patience);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::unavailable);
  EXPECT_EQ(second.error().message,
            "Another ckpt-seal has been using the PKCS #11 module /usr/lib/some/libmodule.so all "
            "the time: wait until it is done, and try again.");
}

TEST_F(ModuleLockTest, IsThatOfOneModule) {
  const ModuleLock first = held(module_path, {locks_});
  EXPECT_TRUE(can_be_had("/usr/lib/some/libother.so", {locks_}));
  EXPECT_FALSE(can_be_had("libmodule.so", {locks_}));  // the same by module-name
}

TEST_F(ModuleLockTest, GoesWithItsOwner) {
  { const ModuleLock first = held(module_path, {locks_}); }
  EXPECT_TRUE(can_be_had(module_path, {locks_}));
}

TEST_F(ModuleLockTest, GoesWithItsProcess) {
  Pipe pipe = make_pipe().value();
  {
    const Child child = Child::fork([&] {
                          const ModuleLock lock = held(module_path, {locks_});
                          (void)write_full(pipe.write_end.get(), as_bytes("x"));
                          return pause();
                        }).value();
    Bytes taken(1);
    ASSERT_EQ(read_full(pipe.read_end.get(), taken).value(), 1U);
    EXPECT_FALSE(can_be_had(module_path, {locks_}));
  }
  EXPECT_TRUE(can_be_had(module_path, {locks_}));
}

// Each makes a file that is not there as long as one alone holds the lock.
TEST_F(ModuleLockTest, TenProcessesTakeTurns) {
  const std::string inside = folder_ / "inside";
  const auto body = [&] {
    for (int i = 0; i < 20; ++i) {
      const Result<ModuleLock> lock = ModuleLock::take(module_path, {locks_});
      if (!lock.ok()) return 1;
      const UniqueFd fd(open(inside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      if (!fd.valid()) return 2;
      usleep(100);
      if (unlink(inside.c_str()) != 0) return 3;
    }
    return 0;
  };
  std::vector<Child> children;
  children.reserve(10);
  for (int i = 0; i < 10; ++i) children.push_back(Child::fork(body).value());
  for (Child& child : children) EXPECT_EQ(child.wait().value().code, 0);
}

TEST_F(ModuleLockTest, IsOpenToItsUserAlone) {
  const ModuleLock first = held(module_path, {locks_});
  struct stat info = {};
  ASSERT_EQ(stat(locks_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  ASSERT_EQ(stat((locks_ + "/libmodule.so.lock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
}

// What others could hold is not waited for, and the token is used all the same.
TEST_F(ModuleLockTest, AFolderThatOthersCanEnterIsNotUsed) {
  fs::create_directory(locks_);
  for (const mode_t mode : {0777U, 01777U, 0755U, 0710U}) {
    ASSERT_EQ(chmod(locks_.c_str(), mode), 0);
    const ModuleLock first = held(module_path, {locks_});
    EXPECT_TRUE(can_be_had(module_path, {locks_}));
  }
  EXPECT_TRUE(fs::is_empty(locks_));
}

TEST_F(ModuleLockTest, AFolderOfAnotherUserIsNotUsed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  fs::create_directory(locks_);
  ASSERT_EQ(chmod(locks_.c_str(), 0700), 0);
  ASSERT_EQ(chown(locks_.c_str(), 65534, 65534), 0);
  const ModuleLock first = held(module_path, {locks_});
  EXPECT_TRUE(can_be_had(module_path, {locks_}));
  EXPECT_TRUE(fs::is_empty(locks_));
}

TEST_F(ModuleLockTest, NoLinkIsFollowed) {
  const std::string elsewhere = folder_ / "elsewhere";
  fs::create_directory(elsewhere);
  ASSERT_EQ(chmod(elsewhere.c_str(), 0700), 0);
  fs::create_directory_symlink(elsewhere, locks_);
  {
    const ModuleLock first = held(module_path, {locks_});
    EXPECT_TRUE(can_be_had(module_path, {locks_}));
  }
  EXPECT_TRUE(fs::is_empty(elsewhere));
  fs::create_symlink(folder_ / "target", elsewhere + "/libmodule.so.lock");
  const ModuleLock first = held(module_path, {elsewhere});
  EXPECT_TRUE(can_be_had(module_path, {elsewhere}));
  EXPECT_FALSE(fs::exists(folder_ / "target"));
}

TEST_F(ModuleLockTest, WithoutAPlaceTheTokenIsUsedAllTheSame) {
  const std::vector<std::string> folders = {folder_ / "missing/locks"};
  const ModuleLock first = held(module_path, folders);
  EXPECT_TRUE(can_be_had(module_path, folders));
  const ModuleLock second = held(module_path, {});
  fs::create_directories(locks_ + "/libmodule.so.lock");
  ASSERT_EQ(chmod(locks_.c_str(), 0700), 0);
  const ModuleLock third = held(module_path, {locks_});
  EXPECT_TRUE(can_be_had(module_path, {locks_}));
}

TEST_F(ModuleLockTest, TheNextPlaceServes) {
  const std::vector<std::string> folders = {folder_ / "missing/locks", locks_};
  const ModuleLock first = held(module_path, folders);
  EXPECT_FALSE(can_be_had(module_path, {locks_}));
}

}  // namespace
}  // namespace ckptseal
