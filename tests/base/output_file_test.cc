// SPDX-License-Identifier: Apache-2.0
//
// base/output_file.h: whole or not at all, and never over something else.
#include "base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>

#include "base/process.h"
#include "temporary_folder.h"

namespace ckptseal {
namespace {

using Replace = OutputFile::Replace;
using Unfinished = OutputFile::Unfinished;
using test::TemporaryFolder;

std::string content_of(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void put(const std::string& path, const std::string& content) { std::ofstream(path) << content; }

// Every test twice: without a name, and under a hidden one.
class OutputFileTest : public testing::TestWithParam<Unfinished> {
 protected:
  Result<OutputFile> create(const std::string& path, Replace replace = Replace::never) {
    return OutputFile::create(path, 0600, replace, GetParam());
  }
  TemporaryFolder folder;
};
INSTANTIATE_TEST_SUITE_P(BothWays, OutputFileTest,
                         testing::Values(Unfinished::unnamed_if_possible, Unfinished::named),
                         [](const auto& way) {
                           return way.param == Unfinished::named ? "Named" : "Unnamed";
                         });

TEST_P(OutputFileTest, AppearsAtCommitAndWhole) {
  const std::string path = folder / "x.cks";
  Result<OutputFile> file = create(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_TRUE(write_full(file.value().fd(), as_bytes("whole")).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(file.value().commit().ok());
  EXPECT_EQ(content_of(path), "whole");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"x.cks"});
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_P(OutputFileTest, WithoutCommitNothingIsLeft) {
  {
    Result<OutputFile> file = create(folder / "x.cks");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(write_full(file.value().fd(), as_bytes("half")).ok());
    const OutputFile moved = std::move(file).value();
  }
  EXPECT_TRUE(folder.names().empty());
}

TEST_P(OutputFileTest, DoesNotOverwrite) {
  const std::string path = folder / "x.cks";
  put(path, "earlier");
  const Result<OutputFile> file = create(path);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, Code::failed);
  EXPECT_EQ(file.error().cause, static_cast<std::uint32_t>(EEXIST));
  EXPECT_EQ(content_of(path), "earlier");
}

TEST_P(OutputFileTest, DoesNotOverwriteWhatAppearsMeanwhile) {
  const std::string path = folder / "x.cks";
  {
    Result<OutputFile> file = create(path);
    ASSERT_TRUE(file.ok());
    put(path, "meanwhile");
    const Status committed = file.value().commit();
    ASSERT_FALSE(committed.ok());
    EXPECT_EQ(committed.error().cause, static_cast<std::uint32_t>(EEXIST));
  }
  EXPECT_EQ(content_of(path), "meanwhile");
  EXPECT_EQ(folder.names().size(), 1U);
}

TEST_P(OutputFileTest, ReplacesWhereAllowed) {
  const std::string path = folder / "x.cks";
  put(path, "earlier");
  {
    Result<OutputFile> dropped = create(path, Replace::allowed);
    ASSERT_TRUE(dropped.ok());
  }
  EXPECT_EQ(content_of(path), "earlier");
  Result<OutputFile> file = create(path, Replace::allowed);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(write_full(file.value().fd(), as_bytes("later")).ok());
  EXPECT_EQ(content_of(path), "earlier");
  ASSERT_TRUE(file.value().commit().ok());
  EXPECT_EQ(content_of(path), "later");
  EXPECT_EQ(folder.names().size(), 1U);
}

TEST_P(OutputFileTest, ALinkToNowhereIsNotFollowed) {
  const std::string path = folder / "x.cks";
  ASSERT_EQ(symlink((folder / "elsewhere").c_str(), path.c_str()), 0);
  const Result<OutputFile> file = create(path);
  ASSERT_FALSE(file.ok());  // before any work
  EXPECT_EQ(file.error().cause, static_cast<std::uint32_t>(EEXIST));
  EXPECT_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

TEST_P(OutputFileTest, ANameMayBeAsLongAsNamesAre) {
  const std::string path = folder / std::string(255, 'n');
  for (const Replace replace : {Replace::never, Replace::allowed}) {
    Result<OutputFile> file = create(path, replace);
    ASSERT_TRUE(file.ok()) << file.error().message;
    ASSERT_TRUE(file.value().commit().ok());
  }
  EXPECT_EQ(folder.names(), std::vector<std::string>{std::string(255, 'n')});
}

TEST_P(OutputFileTest, ANameThatIsTooLongIsSaidBeforeAnyWork) {
  const Result<OutputFile> file = create(folder / std::string(256, 'n'));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().cause, static_cast<std::uint32_t>(ENAMETOOLONG));
}

TEST_P(OutputFileTest, FoldersAndDevicesAreNoOutputFiles) {
  const Result<OutputFile> a_folder = create(folder.path(), Replace::allowed);
  ASSERT_FALSE(a_folder.ok());
  EXPECT_EQ(a_folder.error().cause, static_cast<std::uint32_t>(EISDIR));
  const std::string fifo = folder / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(create(fifo, Replace::allowed).ok());
  EXPECT_FALSE(create("/dev/null", Replace::allowed).ok());
}

TEST_P(OutputFileTest, AMissingFolderIsSaidBeforeAnyWork) {
  const Result<OutputFile> file = create(folder / "missing/x.cks");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().cause, static_cast<std::uint32_t>(ENOENT));
  EXPECT_NE(file.error().message.find("missing/x.cks"), std::string::npos);
  EXPECT_FALSE(create("").ok());
  EXPECT_FALSE(create(folder / "missing/").ok());
}

TEST_P(OutputFileTest, ANameWithoutFolderIsInThisOne) {
  Result<Child> child = Child::fork([&] {
    if (chdir(folder.path().c_str()) != 0) return 1;
    Result<OutputFile> file = create("x.cks");
    return file.ok() && file.value().commit().ok() ? 0 : 2;
  });
  ASSERT_TRUE(child.ok());
  EXPECT_TRUE(child.value().wait().value().success());
  EXPECT_EQ(folder.names(), std::vector<std::string>{"x.cks"});
}

TEST_P(OutputFileTest, WhoMayNotWriteIsToldBeforeAnyWork) {
  Result<Child> child = Child::fork([&] {
    if (chmod(folder.path().c_str(), 0555) != 0) return 1;
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) return 2;
    const Result<OutputFile> file = create(folder / "x.cks");
    if (file.ok()) return 3;
    return file.error().cause == EACCES &&
                   file.error().message.find("permissions") != std::string::npos
               ? 0
               : 4;
  });
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child.value().wait().value().code, 0);
  chmod(folder.path().c_str(), 0700);
  EXPECT_TRUE(folder.names().empty());
}

// A limit on the size of files stands for a full disk where mounts are not allowed.
TEST_P(OutputFileTest, ALimitOfFileSizeLeavesNothing) {
  Result<Child> child = Child::fork([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {8192, 8192};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    Result<OutputFile> file = create(folder / "x.cks");
    if (!file.ok()) return 2;
    const Status written = write_full(file.value().fd(), Bytes(100000));
    if (written.ok()) return 3;
    { const OutputFile dropped = std::move(file).value(); }
    return written.error().cause == EFBIG ? 0 : 4;
  });
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child.value().wait().value().code, 0);
  EXPECT_TRUE(folder.names().empty());
}

// In a mount namespace of its own: a file system of 64 KiB, filled.
int fill_a_small_disk(const std::string& folder, Unfinished unfinished) {
  constexpr int cannot_mount = 77;
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0) {
    return cannot_mount;
  }
  {
    Result<OutputFile> file =
        OutputFile::create(folder + "/x.cks", 0600, Replace::never, unfinished);
    if (!file.ok()) return 1;
    const Status written = write_full(file.value().fd(), Bytes(200000));
    if (written.ok()) return 2;
    if (written.error().cause != ENOSPC) return 3;
  }
  if (!std::filesystem::is_empty(folder)) return 4;
  // What was taken is given back: a smaller file fits.
  return write_file(folder + "/y.cks", Bytes(40000), 0600, Replace::never).ok() ? 0 : 5;
}

TEST_P(OutputFileTest, AFullDiskLeavesNothing) {
  Result<Child> child = Child::fork([&] { return fill_a_small_disk(folder.path(), GetParam()); });
  ASSERT_TRUE(child.ok());
  const int code = child.value().wait().value().code;
  if (code == 77) GTEST_SKIP() << "mounting is not allowed here";
  EXPECT_EQ(code, 0);
}

// The file without a name is gone with its writer, however that ends. (Under a hidden name it would
// stay: that is why it is only the fallback.)
TEST(OutputFileKillTest, AWriterThatIsKilledLeavesNothing) {
  const TemporaryFolder folder;
  Result<Pipe> ready = make_pipe();
  ASSERT_TRUE(ready.ok());
  Result<Child> child = Child::fork([&] {
    Result<OutputFile> file = OutputFile::create(folder / "x.cks", 0600, Replace::never);
    if (!file.ok() || !write_full(file.value().fd(), Bytes(100000)).ok()) return 1;
    if (!write_full(ready.value().write_end.get(), as_bytes("r")).ok()) return 2;
    for (;;) pause();
  });
  ASSERT_TRUE(child.ok());
  ready.value().write_end.reset();
  Bytes byte(1);
  ASSERT_EQ(read_full(ready.value().read_end.get(), byte).value(), 1U);
  child.value().signal(SIGKILL);
  EXPECT_EQ(child.value().wait().value().signal, SIGKILL);
  EXPECT_TRUE(folder.names().empty());
}

TEST(WriteFileTest, WritesInOneCall) {
  const TemporaryFolder folder;
  const std::string path = folder / "x";
  ASSERT_TRUE(write_file(path, as_bytes("one"), 0644, Replace::never).ok());
  EXPECT_FALSE(write_file(path, as_bytes("two"), 0644, Replace::never).ok());
  EXPECT_EQ(content_of(path), "one");
  ASSERT_TRUE(write_file(path, as_bytes("three"), 0644, Replace::allowed).ok());
  EXPECT_EQ(content_of(path), "three");
}

TEST(SpoolFileTest, HasNoName) {
  const TemporaryFolder folder;
  const Result<UniqueFd> spool = make_spool_file(folder.path());
  ASSERT_TRUE(spool.ok());
  EXPECT_TRUE(folder.names().empty());
  ASSERT_TRUE(pwrite_full(spool.value().get(), as_bytes("x"), 10).ok());
  EXPECT_FALSE(make_spool_file(folder / "missing").ok());
}

}  // namespace
}  // namespace ckptseal
