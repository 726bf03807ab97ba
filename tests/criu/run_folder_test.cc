// SPDX-License-Identifier: Apache-2.0
//
// Folders of runs that were killed go with the next run, and nothing else does: docs/criu.md,
// "Folder".
#include "criu/run_folder.h"

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/process.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    struct statfs info = {};
    if (statfs("/dev/shm", &info) != 0 || info.f_type != TMPFS_MAGIC) {
      GTEST_SKIP() << "/dev/shm is no tmpfs";
    }
    ASSERT_NE(mkdtemp(base_.data()), nullptr);
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }

  std::string in_base(const std::string& name) const { return base_ + "/" + name; }
  // As a run that was killed leaves it.
  std::string leftover(const std::string& name, unsigned mode = 0700) const {
    std::string path = in_base(name);
    fs::create_directories(path + "/work");
    std::ofstream(fs::path(path) / "work" / "criu.log") << "something";
    EXPECT_EQ(symlink("/proc/self/exe", (path + "/ckpt-seal-hook").c_str()), 0);
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  RunFolder make() const {
    Result<RunFolder> made = RunFolder::make({base_});
    if (!made.ok()) throw std::runtime_error(made.error().message);
    return std::move(made).value();
  }

  std::string base_ = "/dev/shm/cks-test-XXXXXX";
};

TEST_F(RunFolderTest, IsPrivateAndGoesWithItsOwner) {
  std::string path;
  {
    const RunFolder folder = make();
    path = folder.path();
    struct stat info = {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700U);
    std::ofstream(path + "/file") << "content";
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(RunFolderTest, WhatKilledRunsLeftIsRemoved) {
  const std::string old = leftover("ckpt-seal-aB3dEf");
  make();
  EXPECT_FALSE(fs::exists(old));
}

TEST_F(RunFolderTest, OneThatLivesIsKept) {
  const RunFolder first = make();
  const RunFolder second = make();
  EXPECT_TRUE(fs::exists(first.path()));
  EXPECT_TRUE(fs::exists(second.path()));
}

TEST_F(RunFolderTest, AKilledProcessLosesIts) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  Result<Child> child = Child::fork([&]() -> int {
    const RunFolder folder = make();
    (void)write_full(pipe.value().write_end.get(), as_bytes(folder.path()));
    pipe.value().write_end.reset();
    for (;;) pause();
  });
  ASSERT_TRUE(child.ok());
  pipe.value().write_end.reset();
  Bytes name(256);
  const Result<std::size_t> size = read_full(pipe.value().read_end.get(), name);
  ASSERT_TRUE(size.ok());
  const std::string path(as_text(ByteView(name).first(size.value())));
  make();
  EXPECT_TRUE(fs::exists(path)) << "it was alive";
  child.value().signal(SIGKILL);
  ASSERT_TRUE(child.value().wait().ok());
  EXPECT_TRUE(fs::exists(path));
  make();
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(RunFolderTest, WhatIsNotOfItsFormIsKept) {
  const std::vector<std::string> others = {
      leftover("ckpt-seal-short"), leftover("ckpt-seal-toolong"), leftover("ckpt-seal-a.b.c."),
      leftover("other-aaaaaa"), leftover("ckpt-seal-Op3nd1", 0755)};
  std::ofstream(in_base("ckpt-seal-afile1")) << "no folder";
  make();
  for (const std::string& path : others)
    EXPECT_TRUE(fs::exists(fs::path(path) / "work" / "criu.log")) << path;
  EXPECT_TRUE(fs::exists(in_base("ckpt-seal-afile1")));
}

TEST_F(RunFolderTest, LinksAreNotFollowed) {
  const std::string elsewhere = leftover("elsewhere");
  ASSERT_EQ(symlink(elsewhere.c_str(), in_base("ckpt-seal-alink1").c_str()), 0);
  const std::string old = leftover("ckpt-seal-inside");
  ASSERT_EQ(symlink(elsewhere.c_str(), (old + "/link").c_str()), 0);
  make();
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::is_symlink(in_base("ckpt-seal-alink1")));
  EXPECT_TRUE(fs::exists(fs::path(elsewhere) / "work" / "criu.log"));
}

TEST_F(RunFolderTest, AnotherUsersAreKept) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  const std::string theirs = leftover("ckpt-seal-theirs");
  ASSERT_EQ(chown(theirs.c_str(), 12345, 12345), 0);
  make();
  EXPECT_TRUE(fs::exists(fs::path(theirs) / "work" / "criu.log"));
  ASSERT_EQ(chown(theirs.c_str(), 0, 0), 0);
  make();
  EXPECT_FALSE(fs::exists(theirs));
}

// Each removes what it thinks was left while the others are between making and locking.
TEST_F(RunFolderTest, ManyAtOnceDoNotTakeEachOthers) {
  std::vector<Child> makers;
  for (int i = 0; i < 4; ++i) {
    Result<Child> maker = Child::fork([&] {
      for (int round = 0; round < 1000; ++round) {
        const RunFolder folder = make();
        std::ofstream(folder.path() + "/mine") << "mine";
        for (int look = 0; look < 5; ++look) {
          if (!fs::exists(folder.path() + "/mine")) return 1;
        }
      }
      return 0;
    });
    ASSERT_TRUE(maker.ok());
    makers.push_back(std::move(maker).value());
  }
  for (Child& maker : makers) {
    const Result<ExitStatus> ended = maker.wait();
    ASSERT_TRUE(ended.ok());
    EXPECT_TRUE(ended.value().success());
  }
  EXPECT_TRUE(fs::is_empty(base_));
}

TEST_F(RunFolderTest, NoDiskIsTaken) {
  const Result<RunFolder> made = RunFolder::make({"/proc", "/nowhere"});
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find("tmpfs"), std::string::npos);
}

}  // namespace
}  // namespace ckptseal
