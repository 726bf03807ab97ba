// SPDX-License-Identifier: Apache-2.0
//
// fork, exec and wait by pidfd, so that a pid is never mistaken for another's.
#include "base/process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/output_file.h"

namespace ckptseal {
namespace {

// A parent that died before the child asked for the signal is seen by its pid.
void die_with_parent(pid_t parent, int signal_number) {
  prctl(PR_SET_PDEATHSIG, signal_number);
  if (getppid() != parent) _exit(127);
}

// execve(2) hands on the mask, and what is ignored. What this process ignores for its own writes a
// program that it starts need not.
void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
}

bool redirect(int from, int to) {
  if (from < 0) {
    UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.valid()) return false;
    // Where `to` was closed, the new descriptor may be it.
    if (null.get() == to) return fcntl(null.release(), F_SETFD, 0) == 0;
    return dup2(null.get(), to) == to;
  }
  if (from == to) return fcntl(to, F_SETFD, 0) == 0;
  return dup2(from, to) == to;
}

ExitStatus decode(int status) {
  if (WIFEXITED(status)) return {WEXITSTATUS(status), 0};
  return {-1, WTERMSIG(status)};
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto at = text.rfind('\n');
  return at == std::string::npos ? text : text.substr(at + 1);
}

}  // namespace

Result<Child> Child::adopt(pid_t pid) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    const int error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return system_error("Cannot watch a child process", error);
  }
  return Child(pid, std::move(pidfd));
}

Result<Child> Child::start(const std::vector<std::string>& argv, Descriptors descriptors,
                           Group group, Orphan orphan) {
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("Cannot start a process", errno);
  if (pid == 0) {
    if (orphan == Orphan::ended) die_with_parent(parent, SIGTERM);
    if (group == Group::its_own) setpgid(0, 0);
    if (group == Group::its_own_session) setsid();
    reset_signals();
    if (redirect(descriptors.input, 0) && redirect(descriptors.output, 1) &&
        redirect(descriptors.error, 2)) {
      execvp(arguments[0], arguments.data());
    }
    _exit(127);
  }
  return adopt(pid);
}

Result<Child> Child::fork(const std::function<int()>& body) {
  const pid_t parent = getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("Cannot start a process", errno);
  if (pid == 0) {
    die_with_parent(parent, SIGKILL);
    _exit(body());
  }
  return adopt(pid);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Child::~Child() { end(); }

void Child::end() {
  if (pid_ < 0) return;
  signal(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void Child::signal(int number) const {
  if (pid_ > 0) syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

Result<std::optional<ExitStatus>> Child::wait(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd poll_fd = {pidfd_.get(), POLLIN, 0};
    const int ready = poll(&poll_fd, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return system_error("Cannot wait for a child process", errno);
    if (ready == 0) return std::optional<ExitStatus>();
    CKPTSEAL_ASSIGN(const ExitStatus status, wait());
    return std::optional<ExitStatus>(status);
  }
}

Result<ExitStatus> Child::wait() {
  // waitpid(-1) would reap any other child.
  if (pid_ < 0) return system_error("Cannot wait for a child process", ECHILD);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return system_error("Cannot wait for a child process", errno);
  }
  pid_ = -1;
  return decode(status);
}

Result<std::string> run_program(const std::vector<std::string>& argv,
                                std::chrono::milliseconds timeout) {
  constexpr std::size_t limit = 1 << 20;
  CKPTSEAL_ASSIGN(const UniqueFd output, make_spool_file("/tmp"));
  CKPTSEAL_ASSIGN(const UniqueFd errors, make_spool_file("/tmp"));
  CKPTSEAL_ASSIGN(Child child, Child::start(argv, {-1, output.get(), errors.get()}));
  CKPTSEAL_ASSIGN(const std::optional<ExitStatus> status, child.wait(timeout));
  Bytes text(limit);
  if (!status || !status->success()) {
    CKPTSEAL_ASSIGN(const std::size_t size, pread_full(errors.get(), text, 0));
    const std::string why = !status ? "it did not end in time"
                            : status->code == 127
                                ? "it is not installed or cannot be run"
                                : last_line(std::string(as_text(ByteView(text).first(size))));
    return Error{Code::failed, fmt::format("The program {} failed: {}.", argv[0], why), 0};
  }
  CKPTSEAL_ASSIGN(const std::size_t size, pread_full(output.get(), text, 0));
  return std::string(as_text(ByteView(text).first(size)));
}

}  // namespace ckptseal
