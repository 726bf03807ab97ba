// SPDX-License-Identifier: Apache-2.0
//
// Child processes that cannot outlive their owner: a program started by argv, or a fork that runs a
// function. Ended and reaped by pid when the owner goes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"

namespace ckptseal {

struct ExitStatus {
  int code = -1;   // -1 if a signal ended it
  int signal = 0;  // 0 if it exited
  bool success() const { return code == 0; }
};

class Child {
 public:
  struct Descriptors {  // -1: /dev/null
    int input = -1;
    int output = -1;
    int error = -1;
  };

  // A group of its own is not reached by what a terminal sends to this process's, a Ctrl-C.
  // A session of its own is that, and has no terminal to ask on either.
  enum class Group : std::uint8_t { ours, its_own, its_own_session };

  enum class Orphan : std::uint8_t { ended, goes_on };

  // Looks argv[0] up in PATH. A program that cannot be executed exits with 127. The child gets
  // SIGTERM when its parent dies, unless it is to go on, and begins with no signal blocked,
  // whatever its parent has.
  static Result<Child> start(const std::vector<std::string>& argv, Descriptors descriptors,
                             Group group = Group::ours, Orphan orphan = Orphan::ended);
  // Runs `body` in a fork and exits with what it returns, without running destructors or atexit
  // handlers. The child gets SIGKILL when its parent dies.
  static Result<Child> fork(const std::function<int()>& body);

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // SIGKILL and reap, if it still runs

  pid_t pid() const { return pid_; }
  int fd() const { return pidfd_.get(); }  // readable once it has ended
  // nullopt when it still runs after `timeout`.
  Result<std::optional<ExitStatus>> wait(std::chrono::milliseconds timeout);
  Result<ExitStatus> wait();
  void signal(int number) const;

 private:
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  static Result<Child> adopt(pid_t pid);
  void end();

  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// Starts, waits, and returns what the program wrote to stdout (at most 1 MiB). A program that fails
// or takes longer than `timeout` is an error that quotes the last line it wrote to stderr.
Result<std::string> run_program(const std::vector<std::string>& argv,
                                std::chrono::milliseconds timeout);

}  // namespace ckptseal
