// SPDX-License-Identifier: Apache-2.0
//
// base/process.h: children end, are waited for no longer than asked, and die with their parent.
#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/output_file.h"

namespace ckptseal {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds long_enough{60000};

std::string everything_from(int fd) {
  Bytes bytes(65536);
  const Result<std::size_t> size = read_full(fd, bytes);
  bytes.resize(size.ok() ? size.value() : 0);
  return std::string(as_text(bytes));
}

TEST(ProcessTest, AForkReturnsItsCode) {
  Result<Child> child = Child::fork([] { return 42; });
  ASSERT_TRUE(child.ok());
  const Result<ExitStatus> status = child.value().wait();
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status.value().code, 42);
  EXPECT_EQ(status.value().signal, 0);
  EXPECT_FALSE(status.value().success());
}

TEST(ProcessTest, ASignalIsNoCode) {
  Result<Child> child = Child::fork([]() -> int {
    for (;;) pause();
  });
  ASSERT_TRUE(child.ok());
  child.value().signal(SIGTERM);
  const Result<ExitStatus> status = child.value().wait();
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status.value().code, -1);
  EXPECT_EQ(status.value().signal, SIGTERM);
}

TEST(ProcessTest, AWaitIsBounded) {
  Result<Child> child = Child::fork([]() -> int {
    for (;;) pause();
  });
  ASSERT_TRUE(child.ok());
  const auto still_running = child.value().wait(milliseconds(1));
  ASSERT_TRUE(still_running.ok());
  EXPECT_FALSE(still_running.value().has_value());
  child.value().signal(SIGKILL);
  const auto ended = child.value().wait(long_enough);
  ASSERT_TRUE(ended.ok() && ended.value().has_value());
  EXPECT_EQ(ended.value()->signal, SIGKILL);
}

// A second wait must not reap another child.
TEST(ProcessTest, AWaitForWhatWasReapedFails) {
  Result<Child> child = Child::fork([] { return 0; });
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(child.value().wait().ok());
  Result<Child> other = Child::fork([] { return 7; });
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE(child.value().wait().ok());
  EXPECT_FALSE(child.value().wait(milliseconds(0)).ok());
  const Result<ExitStatus> status = other.value().wait();
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status.value().code, 7);
}

TEST(ProcessTest, AnOwnerThatGoesEndsItsChild) {
  pid_t pid = -1;
  {
    Result<Child> child = Child::fork([]() -> int {
      for (;;) pause();
    });
    ASSERT_TRUE(child.ok());
    Child moved = std::move(child).value();
    pid = moved.pid();
    ASSERT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1) << "it is killed and reaped";
}

// Grandparent (this test), parent, child: the parent is killed, and the pipe that only the child
// holds then closes.
void child_dies_with_parent(bool program) {
  Result<Pipe> alive = make_pipe();
  ASSERT_TRUE(alive.ok());
  const int write_end = alive.value().write_end.get();
  Result<Child> parent = Child::fork([&] {
    Result<Child> child =
        program ? Child::start({"sleep", "600"}, {-1, write_end, -1}) : Child::fork([]() -> int {
          for (;;) pause();
        });
    if (!child.ok() || !write_full(write_end, as_bytes("r")).ok()) return 1;
    for (;;) pause();
  });
  ASSERT_TRUE(parent.ok());
  alive.value().write_end.reset();
  Bytes byte(1);
  ASSERT_EQ(read_full(alive.value().read_end.get(), byte).value(), 1U);
  parent.value().signal(SIGKILL);
  ASSERT_TRUE(parent.value().wait().ok());
  EXPECT_EQ(read_full(alive.value().read_end.get(), byte).value(), 0U);
}
TEST(ProcessTest, AForkDiesWithItsParent) { child_dies_with_parent(false); }
TEST(ProcessTest, AProgramDiesWithItsParent) { child_dies_with_parent(true); }

TEST(ProcessTest, AProgramGetsItsDescriptorsAndNoneOfOurs) {
  Result<Pipe> in = make_pipe();
  Result<Pipe> out = make_pipe();
  ASSERT_TRUE(in.ok() && out.ok());
  const std::string ours = "/proc/self/fd/" + std::to_string(in.value().write_end.get());
  Result<Child> child = Child::start({"sh", "-c", "cat; test -e " + ours + " || echo closed"},
                                     {in.value().read_end.get(), out.value().write_end.get(), -1});
  ASSERT_TRUE(child.ok());
  out.value().write_end.reset();
  ASSERT_TRUE(write_full(in.value().write_end.get(), as_bytes("through\n")).ok());
  in.value().write_end.reset();
  EXPECT_EQ(everything_from(out.value().read_end.get()), "through\nclosed\n");
  EXPECT_TRUE(child.value().wait().value().success());
}

// Also where the standard descriptors are closed, so that /dev/null itself gets such a number.
TEST(ProcessTest, ClosedStandardDescriptorsBecomeTheNullDevice) {
  Result<Pipe> out = make_pipe();
  ASSERT_TRUE(out.ok());
  const int write_end = out.value().write_end.get();
  Result<Child> parent = Child::fork([&] {
    close(0);
    Result<Child> child =
        Child::start({"sh", "-c", "readlink /proc/self/fd/0 || echo closed"}, {-1, write_end, -1});
    return child.ok() && child.value().wait().value().success() ? 0 : 1;
  });
  ASSERT_TRUE(parent.ok());
  out.value().write_end.reset();
  EXPECT_EQ(everything_from(out.value().read_end.get()), "/dev/null\n");
  EXPECT_TRUE(parent.value().wait().value().success());
}

TEST(ProcessTest, AProgramThatIsNotThereExitsWith127) {
  Result<Child> child = Child::start({"/nonexistent/program"}, {});
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child.value().wait().value().code, 127);
}

TEST(RunProgramTest, ReturnsWhatItWrote) {
  const Result<std::string> text = run_program({"echo", "hello"}, long_enough);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.value(), "hello\n");
}

TEST(RunProgramTest, AFailureQuotesTheLastLineOfStderr) {
  const Result<std::string> text =
      run_program({"sh", "-c", "echo first >&2; echo why it failed >&2; exit 3"}, long_enough);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().message, "The program sh failed: why it failed.");
  EXPECT_NE(run_program({"/nonexistent/x"}, long_enough).error().message.find("not installed"),
            std::string::npos);
}

TEST(RunProgramTest, AProgramThatHangsIsEnded) {
  const Result<std::string> text = run_program({"sleep", "600"}, milliseconds(20));
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.error().message.find("did not end in time"), std::string::npos);
}

}  // namespace
}  // namespace ckptseal
