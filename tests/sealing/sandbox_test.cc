// SPDX-License-Identifier: Apache-2.0
//
// sealing/sandbox.h: what the helper may not do ends it with SIGSYS, each thing in a child of its
// own; what it needs goes on working.
#include "sealing/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "base/crypto.h"
#include "base/page_buffer.h"
#include "base/process.h"
#include "base/workers.h"
#include "sample.h"
#include "sealing/chunk.h"

namespace ckptseal {
namespace {

constexpr int setup_failed = 99;

ExitStatus run(const std::function<int()>& body) {
  Result<Child> child = Child::fork(body);
  if (!child.ok()) return {};
  const Result<ExitStatus> status = child.value().wait();
  return status.ok() ? status.value() : ExitStatus{};
}

bool enter_both(std::span<const int> keep = {}) {
  return harden_process(keep).ok() && enter_sandbox().ok();
}

// A system call that is not allowed.
struct Attempt {
  const char* name;
  std::function<void()> call;
};
void PrintTo(const Attempt& attempt, std::ostream* out) { *out << attempt.name; }

// By number where the C library would take another way or refuse by itself.
std::vector<Attempt> only_after_the_second_step() {
  return {
      {"Open", [] { (void)!open("/etc/hostname", O_RDONLY); }},
      {"OpenForWriting", [] { (void)!open("/tmp/x", O_WRONLY | O_CREAT, 0600); }},
      {"Openat2", [] { syscall(SYS_openat2, AT_FDCWD, "/", nullptr, 0); }},
      {"Unlink", [] { unlink("/tmp/ckpt-seal-not-there"); }},
      {"Rename", [] { rename("/tmp/ckpt-seal-not-there", "/tmp/x"); }},
      {"Socket", [] { (void)socket(AF_INET, SOCK_STREAM, 0); }},
      {"UnixSocket", [] { (void)socket(AF_UNIX, SOCK_STREAM, 0); }},
      {"Connect", [] { (void)connect(0, nullptr, 0); }},
      {"Bind", [] { (void)bind(0, nullptr, 0); }},
      {"Fork", [] { syscall(SYS_fork); }},
      {"Vfork", [] { syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0); }},
      {"Clone3", [] { syscall(SYS_clone3, nullptr, 0); }},
      {"Kill", [] { kill(getpid(), 0); }},
      {"PidfdOpen", [] { syscall(SYS_pidfd_open, getppid(), 0); }},
      {"Prctl", [] { prctl(PR_SET_DUMPABLE, 1); }},
      {"Setuid", [] { syscall(SYS_setuid, 0); }},
      {"Ioctl", [] { syscall(SYS_ioctl, 0, 0, 0); }},
      {"IoctlTypesAtTheTerminal", [] { ioctl(0, TIOCSTI, "x"); }},
      {"Dup", [] { (void)!dup(0); }},
      {"FcntlDup", [] { (void)fcntl(-1, F_DUPFD_CLOEXEC, 10); }},
      {"FcntlAppend", [] { (void)fcntl(-1, F_SETFL, O_NONBLOCK | O_APPEND); }},
      {"FcntlAsync", [] { (void)fcntl(-1, F_SETFL, O_ASYNC); }},
      {"FcntlOwner", [] { (void)fcntl(-1, F_SETOWN, getppid()); }},
      {"FcntlNotExec", [] { (void)fcntl(-1, F_SETFD, 0); }},
      {"FcntlNotify", [] { (void)fcntl(-1, F_NOTIFY, 0); }},
      {"MemfdCreate", [] { (void)memfd_create("x", 0); }},
      {"MmapExecutable",
       [] {
         (void)mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       }},
      {"MmapWritableAndExecutable",
       [] {
         (void)mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
       }},
      {"MprotectExecutable",
       [] {
         void* page =
             mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         mprotect(page, 4096, PROT_READ | PROT_EXEC);
       }},
  };
}

std::vector<Attempt> from_the_first_step() {
  static char* const argv[] = {nullptr};
  return {
      {"Execve", [] { execve("/bin/true", argv, argv); }},
      {"Execveat", [] { syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, argv, 0); }},
      {"Ptrace", [] { ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); }},
      {"ProcessVmReadv", [] { process_vm_readv(getppid(), nullptr, 0, nullptr, 0, 0); }},
      {"ProcessVmWritev", [] { process_vm_writev(getppid(), nullptr, 0, nullptr, 0, 0); }},
      {"Mount", [] { mount("none", "/tmp", "tmpfs", 0, nullptr); }},
      {"Chroot", [] { (void)!chroot("/"); }},
      {"Unshare", [] { unshare(CLONE_NEWUSER); }},
      {"Setns", [] { setns(0, 0); }},
      {"Bpf", [] { syscall(SYS_bpf, 0, nullptr, 0); }},
      {"PerfEventOpen", [] { syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); }},
      {"Userfaultfd", [] { syscall(SYS_userfaultfd, 0); }},
      {"KeyringAdd", [] { syscall(SYS_add_key, nullptr, nullptr, nullptr, 0, 0); }},
      {"IoUring", [] { syscall(SYS_io_uring_setup, 1, nullptr); }},
      {"InitModule", [] { syscall(SYS_init_module, nullptr, 0, nullptr); }},
      {"OpenByHandle", [] { syscall(SYS_open_by_handle_at, 0, nullptr, 0); }},
  };
}

class ForbiddenInTheSandbox : public testing::TestWithParam<Attempt> {};
class ForbiddenFromTheStart : public testing::TestWithParam<Attempt> {};
const auto name_of = [](const auto& attempt) { return std::string(attempt.param.name); };
INSTANTIATE_TEST_SUITE_P(Late, ForbiddenInTheSandbox,
                         testing::ValuesIn(only_after_the_second_step()), name_of);
INSTANTIATE_TEST_SUITE_P(Early, ForbiddenInTheSandbox, testing::ValuesIn(from_the_first_step()),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Early, ForbiddenFromTheStart, testing::ValuesIn(from_the_first_step()),
                         name_of);

TEST_P(ForbiddenInTheSandbox, EndsWithSigsys) {
  const ExitStatus status = run([&] {
    if (!enter_both()) return setup_failed;
    GetParam().call();
    return 0;
  });
  EXPECT_EQ(status.signal, SIGSYS) << "exit code " << status.code;
}

TEST_P(ForbiddenFromTheStart, EndsWithSigsys) {
  const ExitStatus status = run([&] {
    if (!harden_process({}).ok()) return setup_failed;
    GetParam().call();
    return 0;
  });
  EXPECT_EQ(status.signal, SIGSYS) << "exit code " << status.code;
}

// The twin: without a sandbox the same calls end nobody.
TEST(SandboxTwinTest, OutsideTheyReturn) {
  for (const Attempt& attempt : only_after_the_second_step()) {
    if (std::string(attempt.name) == "Fork" || std::string(attempt.name) == "Vfork") continue;
    const ExitStatus status = run([&] {
      attempt.call();
      return 0;
    });
    EXPECT_EQ(status.code, 0) << attempt.name << " signal " << status.signal;
  }
}

// Before content, TPMs are still reached by new descriptors, and passphrases by threads.
TEST(HardenTest, FilesSocketsAndForksAreAllowedStill) {
  const ExitStatus status = run([] {
    if (!harden_process({}).ok()) return setup_failed;
    UniqueFd file(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    UniqueFd unix_socket(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!file.valid() || !unix_socket.valid()) return 1;
    Result<Child> child = Child::fork([] { return 0; });
    return child.ok() && child.value().wait().value().success() ? 0 : 2;
  });
  EXPECT_EQ(status.code, 0) << "signal " << status.signal;
}

TEST(HardenTest, NoCoreNoDumpNoNewPrivileges) {
  const ExitStatus status = run([] {
    if (!harden_process({}).ok()) return setup_failed;
    rlimit core = {1, 1};
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0) return 1;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 3;
    return 0;
  });
  EXPECT_EQ(status.code, 0) << "signal " << status.signal;
}

// Whatever the list, in whatever order, with numbers twice and such that are none.
TEST(HardenTest, KeepsTheDescriptorsOfTheListAndNoOthers) {
  const std::vector<std::vector<int>> lists = {
      {},           {10},         {12, 10},       {10, 10, 11}, {0, 10},    {0, 0, 12},
      {0, 1, 2, 3}, {-1, -1, 11}, {-1, 0, 0, 10}, {3, 4, 12},   {2, 2, 10}, {1, 1, 1, 12}};
  for (const std::vector<int>& list : lists) {
    const ExitStatus status = run([&] {
      for (const int fd : {3, 4, 10, 11, 12, 200}) {
        if (dup2(0, fd) != fd && dup2(2, fd) != fd) return setup_failed;
      }
      if (!harden_process(list).ok()) return setup_failed;
      for (const int fd : {3, 4, 10, 11, 12, 200}) {
        const bool kept = std::find(list.begin(), list.end(), fd) != list.end();
        if ((fcntl(fd, F_GETFD) >= 0) != kept) return fd;
      }
      return fcntl(2, F_GETFD) >= 0 ? 0 : 1;
    });
    EXPECT_EQ(status.code, 0) << testing::PrintToString(list) << ": wrong about descriptor "
                              << status.code;
  }
}

// Reading, writing, memory, keys, cipher, clock and an exception: what work on content needs.
int allowed_work(int input, int output, int positioned) {
  Bytes buffer(3 << 20);  // fresh mappings, not what is there already
  const Result<std::size_t> size = read_full(input, buffer);
  if (!size.ok() || size.value() != 5) return 1;
  if (!write_full(output, ByteView(buffer).first(5)).ok()) return 2;
  if (!pwrite_full(positioned, as_bytes("pos"), 7).ok()) return 3;
  if (!pread_full(positioned, buffer, 0).ok()) return 4;
  Result<Secret> key = random_secret(32);
  if (!key.ok()) return 5;
  for (const Cipher cipher : {Cipher::aes_256_gcm, Cipher::chacha20_poly1305}) {
    Result<Aead> aead = Aead::make(cipher, key.value());
    if (!aead.ok() || !aead.value().encrypt({}, {}, buffer).ok()) return 6;
  }
  if (Sha256::of(buffer) == Digest{}) return 7;
  timespec now = {};
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 8;
  try {
    throw std::runtime_error("as a bug would");
  } catch (const std::exception&) {
  }
  return 0;
}

// What the workers do with a chunk, and that memory comes and goes.
int allowed_computation() {
  Result<Secret> key = random_secret(32);
  if (!key.ok()) return 1;
  Result<Aead> aead = Aead::make(Cipher::aes_256_gcm, key.value());
  if (!aead.ok()) return 2;
  Bytes data(std::size_t{1} << 20, 7);
  if (!aead.value().encrypt(Nonce{}, {}, data).ok()) return 3;
  if (chunk_digest(data) == Digest{}) return 4;
  // An arena that grows and shrinks.
  std::vector<Bytes> blocks(100, Bytes(100000));
  blocks.clear();
  return 0;
}

TEST(SandboxTest, WorkOnOpenDescriptorsGoesOn) {
  Result<Pipe> in = make_pipe();
  Result<Pipe> out = make_pipe();
  ASSERT_TRUE(in.ok() && out.ok());
  const UniqueFd file = test::memory_file();
  ASSERT_TRUE(write_full(in.value().write_end.get(), as_bytes("hello")).ok());
  in.value().write_end.reset();
  const std::vector<int> keep = {in.value().read_end.get(), out.value().write_end.get(),
                                 file.get()};
  const ExitStatus status = run(
      [&] { return enter_both(keep) ? allowed_work(keep[0], keep[1], keep[2]) : setup_failed; });
  EXPECT_EQ(status.code, 0) << "signal " << status.signal;
  out.value().write_end.reset();
  Bytes text(5);
  EXPECT_EQ(read_full(out.value().read_end.get(), text).value(), 5U);
  EXPECT_EQ(as_text(text), "hello");
}

// Threads that are there before are in it, too, and their work goes on.
TEST(SandboxTest, HoldsForOtherThreads) {
  const auto in_a_thread = [](const std::function<int()>& body) {
    return run([&] {
      Workers workers(2);
      if (!enter_both()) return setup_failed;
      int result = setup_failed;
      const auto job = workers.start([&] {
        result = body();
        return Status();
      });
      while (!job->done()) sched_yield();
      return result;
    });
  };
  const ExitStatus good = in_a_thread([] { return allowed_computation(); });
  EXPECT_EQ(good.code, 0) << "signal " << good.signal;
  const ExitStatus bad = in_a_thread([] { return open("/etc/hostname", O_RDONLY) < 0 ? 0 : 1; });
  EXPECT_EQ(bad.signal, SIGSYS) << "exit code " << bad.code;
}

// docs/criu-stream.md, "Pipes".
TEST(SandboxTest, PipesThatArriveCanBeSetUp) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  const std::vector<int> keep = {pipe.value().read_end.get(), pipe.value().write_end.get()};
  const ExitStatus status = run([&] {
    if (!enter_both(keep)) return setup_failed;
    if (fcntl(keep[0], F_SETFL, O_NONBLOCK) != 0) return 1;
    if ((fcntl(keep[0], F_GETFL) & (O_ACCMODE | O_NONBLOCK)) != (O_RDONLY | O_NONBLOCK)) return 2;
    if (fcntl(keep[0], F_SETPIPE_SZ, 131072) < 131072) return 3;
    const PageBuffer pages(8192);
    const iovec all = {pages.view().data(), pages.view().size()};
    int unread = 0;
    if (vmsplice(keep[1], &all, 1, SPLICE_F_NONBLOCK) != 8192) return 4;
    return ioctl(keep[0], FIONREAD, &unread) == 0 && unread == 8192 ? 0 : 5;
  });
  EXPECT_EQ(status.code, 0) << "signal " << status.signal;
}

// A bug that aborts ends with SIGABRT and is told apart from a forbidden call.
TEST(SandboxTest, AnAbortIsAnAbort) {
  const ExitStatus status = run([]() -> int {
    if (!enter_both()) return setup_failed;
    signal(SIGABRT, SIG_DFL);
    std::abort();
  });
  EXPECT_EQ(status.signal, SIGABRT) << status.code;
}

TEST(SandboxTest, RootIsGivenUp) {
  if (geteuid() != 0) GTEST_SKIP() << "only root has root to give up";
  Result<Pipe> ready = make_pipe();
  Result<Pipe> done = make_pipe();
  ASSERT_TRUE(ready.ok() && done.ok());
  Result<Child> child = Child::fork([&] {
    const std::vector<int> keep = {ready.value().write_end.get(), done.value().read_end.get()};
    if (!enter_both(keep) || !write_full(keep[0], as_bytes("r")).ok()) return setup_failed;
    Bytes byte(1);
    return read_full(keep[1], byte).ok() ? 0 : 1;
  });
  ASSERT_TRUE(child.ok());
  ready.value().write_end.reset();
  Bytes byte(1);
  ASSERT_EQ(read_full(ready.value().read_end.get(), byte).value(), 1U);
  std::ifstream file("/proc/" + std::to_string(child.value().pid()) + "/status");
  std::string text;
  for (std::string line; std::getline(file, line);) text += line + "\n";
  EXPECT_NE(text.find("\nUid:\t65534\t65534\t65534\t65534\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nGid:\t65534\t65534\t65534\t65534\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nGroups:\t \n"), std::string::npos) << text;
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_NE(text.find(std::string(set) + ":\t0000000000000000"), std::string::npos) << set;
  }
  EXPECT_NE(text.find("\nSeccomp:\t2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nNoNewPrivs:\t1\n"), std::string::npos) << text;
  ASSERT_TRUE(write_full(done.value().write_end.get(), as_bytes("d")).ok());
  EXPECT_TRUE(child.value().wait().value().success());
}

TEST(SandboxTest, WorksWithoutRootToo) {
  const ExitStatus status = run([] {
    if (geteuid() == 0 && setresuid(65533, 65533, 65533) != 0) return setup_failed;
    if (!enter_both()) return 1;
    return random_secret(32).ok() ? 0 : 2;
  });
  EXPECT_EQ(status.code, 0) << "signal " << status.signal;
}

}  // namespace
}  // namespace ckptseal
