// SPDX-License-Identifier: Apache-2.0
//
// base/fd.h: ownership, and reads and writes that survive short counts and signals.
#include "base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/process.h"
#include "temporary_folder.h"

namespace ckptseal {
namespace {

using test::TemporaryFolder;

bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(FdTest, IsClosedOnce) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  int number = -1;
  {
    UniqueFd first = std::move(pipe.value().read_end);
    number = first.get();
    UniqueFd second = std::move(first);
    EXPECT_FALSE(first.valid());  // NOLINT(*-use-after-move,*.Move): the question
    EXPECT_TRUE(is_open(number));
    UniqueFd third;
    third = std::move(second);
    EXPECT_EQ(third.get(), number);
  }
  EXPECT_FALSE(is_open(number));
  UniqueFd released = std::move(pipe.value().write_end);
  const int raw = released.release();
  released.reset();
  EXPECT_TRUE(is_open(raw));
  UniqueFd owner(raw);
}

TEST(FdTest, PipesAndFilesCloseOnExec) {
  const Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  EXPECT_EQ(fcntl(pipe.value().read_end.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(pipe.value().write_end.get(), F_GETFD), FD_CLOEXEC);
  const Result<UniqueFd> file = open_file("/dev/null", O_RDONLY, "the null device");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(fcntl(file.value().get(), F_GETFD), FD_CLOEXEC);
}

TEST(FdTest, AFileThatIsNotThereIsNamed) {
  const TemporaryFolder folder;
  const Result<UniqueFd> file = open_file(folder / "x", O_RDONLY, "the sealed file x");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().cause, static_cast<std::uint32_t>(ENOENT));
  EXPECT_NE(file.error().message.find("the sealed file x"), std::string::npos);
}

// A child writes one byte at a time, so every read(2) is short.
TEST(FdTest, ReadFullGoesOnAfterShortReads) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  Result<Child> writer = Child::fork([&] {
    for (unsigned i = 0; i < 1000; ++i) {
      const auto byte = static_cast<std::uint8_t>(i);
      if (write(pipe.value().write_end.get(), &byte, 1) != 1) return 1;
    }
    return 0;
  });
  ASSERT_TRUE(writer.ok());
  pipe.value().write_end.reset();
  Bytes bytes(1500);
  const Result<std::size_t> size = read_full(pipe.value().read_end.get(), bytes);
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(size.value(), 1000U);
  EXPECT_EQ(bytes[999], 999 % 256);
  EXPECT_TRUE(writer.value().wait().value().success());
}

TEST(FdTest, PositionedReadsAndWritesLeaveThePosition) {
  const TemporaryFolder folder;
  const Result<UniqueFd> file = open_file(folder / "x", O_RDWR | O_CREAT, "x");
  ASSERT_TRUE(file.ok());
  const int fd = file.value().get();
  ASSERT_TRUE(pwrite_full(fd, as_bytes("world"), 5).ok());
  ASSERT_TRUE(write_full(fd, as_bytes("hello")).ok());
  Bytes bytes(20);
  ASSERT_EQ(pread_full(fd, bytes, 3).value(), 7U);
  EXPECT_EQ(as_text(ByteView(bytes).first(7)), "loworld");
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 5);
  EXPECT_EQ(pread_full(fd, bytes, 100).value(), 0U);
  struct stat info = {};
  ASSERT_EQ(fstat(fd, &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(FdTest, WritesFailWithACauseAndARemedy) {
  const Result<UniqueFd> full = open_file("/dev/full", O_WRONLY, "the full device");
  ASSERT_TRUE(full.ok());
  const Status written = write_full(full.value().get(), as_bytes("x"));
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().cause, static_cast<std::uint32_t>(ENOSPC));
  EXPECT_NE(written.error().message.find("free some space"), std::string::npos);
  EXPECT_FALSE(write_full(-1, as_bytes("x")).ok());
  Bytes one(1);
  EXPECT_FALSE(read_full(-1, one).ok());
}

// A signal that interrupts a read is no error: the handler is installed without SA_RESTART.
TEST(FdTest, ASignalDoesNotEndARead) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  const pid_t reader = getpid();
  Result<Child> writer = Child::fork([&] {
    for (unsigned i = 0; i < 50; ++i) {
      kill(reader, SIGUSR1);
      if (write(pipe.value().write_end.get(), "x", 1) != 1) return 1;
    }
    return 0;
  });
  ASSERT_TRUE(writer.ok());
  pipe.value().write_end.reset();
  Bytes bytes(50);
  const Result<std::size_t> size = read_full(pipe.value().read_end.get(), bytes);
  EXPECT_TRUE(size.ok() && size.value() == 50);
  EXPECT_TRUE(writer.value().wait().value().success());
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(FdTest, ReadFileTakesWholeRegularFilesUpToALimit) {
  const TemporaryFolder folder;
  const std::string path = folder / "x";
  {
    const Result<UniqueFd> file = open_file(path, O_WRONLY | O_CREAT, "x");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(write_full(file.value().get(), as_bytes("12345")).ok());
  }
  const Result<Bytes> whole = read_file(path, 5, "x");
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(as_text(whole.value()), "12345");
  EXPECT_FALSE(read_file(path, 4, "x").ok());
  EXPECT_FALSE(read_file(folder.path(), 5000, "a folder").ok());
  const std::string fifo = folder / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(read_file(fifo, 5, "a pipe").ok()) << "and it does not wait for a writer";
}

}  // namespace
}  // namespace ckptseal
