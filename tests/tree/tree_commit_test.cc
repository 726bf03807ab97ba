// SPDX-License-Identifier: Apache-2.0
//
// sealing/tree.h: a folder appears in commit(), whole, and otherwise leaves nothing behind.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/fd.h"
#include "sealing/tree.h"
#include "tree_fixture.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

class TreeCommitTest : public TreeFixture {
 protected:
  TreeCommitTest() { fs::create_directory(at("in")); }
};

TEST_F(TreeCommitTest, NothingIsThereBeforeTheCommit) {
  put(at("in/file"), "x");
  ASSERT_EQ(chmod(at("in").c_str(), 0755), 0);
  ASSERT_TRUE(pack("in", "tar").ok());
  const UniqueFd tar(open(at("tar").c_str(), O_RDONLY | O_CLOEXEC));
  {
    auto extractor = TreeExtractor::start(tar.get(), at("out")).value();
    EXPECT_FALSE(extractor.commit().ok());  // not finished
    ASSERT_TRUE(extractor.finish().ok());
    EXPECT_FALSE(extractor.finish().ok());
    EXPECT_FALSE(fs::exists(at("out")));
    const auto found = names();
    ASSERT_EQ(found.size(), 3U);
    ASSERT_TRUE(found[0].starts_with(".out.") && found[0].ends_with(".unfinished")) << found[0];
    EXPECT_EQ(info_of(at(found[0])).st_mode & 07777, 0700U);
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"in", "tar"}));
  ASSERT_EQ(lseek(tar.get(), 0, SEEK_SET), 0);
  auto extractor = TreeExtractor::start(tar.get(), at("out/")).value();
  ASSERT_TRUE(extractor.finish().ok());
  ASSERT_TRUE(extractor.commit().ok());
  EXPECT_FALSE(extractor.commit().ok());
  EXPECT_EQ(names(), (std::vector<std::string>{"in", "out", "tar"}));
}

TEST_F(TreeCommitTest, AStreamThatNeverEndsIsGivenUpByTheDestructor) {
  Pipe pipe = std::move(make_pipe()).value();
  { auto extractor = TreeExtractor::start(pipe.read_end.get(), at("out")).value(); }
  EXPECT_EQ(names(), (std::vector<std::string>{"in"}));
}

// The child must not keep the end of the pipe open that its own process writes to.
TEST_F(TreeCommitTest, APipeOfThisProcessEnds) {
  put(at("in/file"), std::string(500'000, 'x'));
  const UniqueFd in(open(at("in").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Pipe pipe = std::move(make_pipe()).value();
  auto extractor = TreeExtractor::start(pipe.read_end.get(), at("out")).value();
  ASSERT_TRUE(write_tree(in.get(), pipe.write_end.get()).ok());
  pipe.write_end.reset();
  ASSERT_TRUE(extractor.finish().ok());
  ASSERT_TRUE(extractor.commit().ok());
  EXPECT_EQ(get(at("out/file")), get(at("in/file")));
}

TEST_F(TreeCommitTest, WhatExistsIsNotOverwritten) {
  put(at("in/file"), "new");
  ASSERT_TRUE(pack("in", "tar").ok());
  put(at("out"), "old");
  EXPECT_EQ(unpack("tar", "out").error().cause, static_cast<std::uint32_t>(EEXIST));
  EXPECT_EQ(unpack("tar", "out", OutputFile::Replace::allowed).error().cause,
            static_cast<std::uint32_t>(ENOTDIR));
  EXPECT_EQ(get(at("out")), "old");
  fs::create_symlink("nowhere", at("link"));
  EXPECT_EQ(unpack("tar", "link").error().cause, static_cast<std::uint32_t>(EEXIST));
  for (const char* name : {"", ".", "..", "in/.."}) {
    EXPECT_EQ(unpack("tar", name).ok(), false) << name;
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"in", "link", "out", "tar"}));
}

TEST_F(TreeCommitTest, WhatAppearsMeanwhileIsNotOverwritten) {
  put(at("in/file"), "new");
  ASSERT_TRUE(pack("in", "tar").ok());
  const UniqueFd tar(open(at("tar").c_str(), O_RDONLY | O_CLOEXEC));
  {
    auto extractor = TreeExtractor::start(tar.get(), at("out")).value();
    ASSERT_TRUE(extractor.finish().ok());
    fs::create_directory(at("out"));
    const Status committed = extractor.commit();
    ASSERT_FALSE(committed.ok());
    EXPECT_EQ(committed.error().cause, static_cast<std::uint32_t>(EEXIST));
  }
  EXPECT_TRUE(fs::is_empty(at("out")));
  EXPECT_EQ(names(), (std::vector<std::string>{"in", "out", "tar"}));
}

TEST_F(TreeCommitTest, AFolderIsReplacedIfThatIsAllowed) {
  put(at("in/file"), "new");
  put(at("kept"), "outside");
  ASSERT_TRUE(pack("in", "tar").ok());
  fs::create_directories(at("out/old"));
  fs::create_symlink(at("in"), at("out/old/link"));
  ASSERT_EQ(chmod(at("out/old").c_str(), 0500), 0);
  const auto unpacked = unpack("tar", "out", OutputFile::Replace::allowed);
  ASSERT_TRUE(unpacked.ok()) << unpacked.error().message;
  EXPECT_EQ(get(at("out/file")), "new");
  EXPECT_FALSE(fs::exists(at("out/old")));
  EXPECT_EQ(get(at("in/file")), "new");  // behind the link
  EXPECT_EQ(names(), (std::vector<std::string>{"in", "kept", "out", "tar"}));
}

TEST_F(TreeCommitTest, OwnersAndSetUserIdComeBackAsRootOnly) {
  put(at("in/tool"), "x");
  fs::create_directory(at("in/closed"));
  if (geteuid() == 0) {
    ASSERT_EQ(lchown(at("in/tool").c_str(), 1234, 5678), 0);
    ASSERT_EQ(lchown(at("in/closed").c_str(), 1234, 5678), 0);
  }
  ASSERT_EQ(chmod(at("in/tool").c_str(), 06755), 0);
  ASSERT_EQ(chmod(at("in/closed").c_str(), 0555), 0);
  ASSERT_EQ(chmod(at("in").c_str(), 0555), 0);  // has to be moved nevertheless
  ASSERT_TRUE(pack("in", "tar").ok());
  if (geteuid() == 0) {
    const auto unpacked = unpack("tar", "root");
    ASSERT_TRUE(unpacked.ok());
    EXPECT_EQ(unpacked.value(), TreeWarnings());
    EXPECT_EQ(info_of(at("root/tool")).st_uid, 1234U);
    EXPECT_EQ(info_of(at("root/tool")).st_gid, 5678U);
    EXPECT_EQ(info_of(at("root/tool")).st_mode & 07777, 06755U);
    EXPECT_EQ(info_of(at("root/closed")).st_uid, 1234U);
    ASSERT_EQ(chmod(at("tar").c_str(), 0644), 0);
  }
  expect_as_other_user(folder, [&] {
    const auto unpacked = unpack("tar", "out");
    if (!unpacked.ok() || unpacked.value().size() != 1) return false;
    return info_of(at("out/tool")).st_uid == geteuid() &&
           (info_of(at("out/tool")).st_mode & 07777) == 0755 &&
           (info_of(at("out/closed")).st_mode & 07777) == 0555 &&
           (info_of(at("out")).st_mode & 07777) == 0555 &&
           unpack("tar", "out", OutputFile::Replace::allowed).error().cause == EACCES;
  });
}

// Folders that nobody may write to are no obstacle to giving up.
TEST_F(TreeCommitTest, ClosedFoldersAreRemovedWhenNotCommitted) {
  fs::create_directories(at("in/a/b"));
  put(at("in/a/b/file"), "x");
  ASSERT_EQ(chmod(at("in/a/b").c_str(), 0), 0);
  ASSERT_EQ(chmod(at("in/a").c_str(), 0555), 0);
  if (geteuid() != 0) GTEST_SKIP() << "only root can pack such a folder";
  ASSERT_TRUE(pack("in", "tar").ok());
  ASSERT_EQ(chmod(at("tar").c_str(), 0644), 0);
  expect_as_other_user(folder, [&] {
    const UniqueFd tar(open(at("tar").c_str(), O_RDONLY | O_CLOEXEC));
    auto extractor = TreeExtractor::start(tar.get(), at("out")).value();
    return extractor.finish().ok();
  });
  EXPECT_EQ(names(), (std::vector<std::string>{"in", "tar"}));
}

}  // namespace
}  // namespace ckptseal
