// SPDX-License-Identifier: Apache-2.0
//
// One run of the approver, from its first byte to the end of its process group.
#include "cli/opening/approver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "base/ending_signals.h"
#include "base/fd.h"
#include "base/process.h"
#include "policies/online_approval.h"

namespace ckptseal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int refused_for_good = static_cast<int>(Code::revoked);
constexpr int cannot_be_run = 127;

Error unavailable(std::string_view why) {
  return {Code::unavailable,
          fmt::format("There is no online approval: the command of --approver {}; see what it "
                      "says itself, and try again.",
                      why),
          0};
}

// Small enough for any pipe, so it is written before anybody is there who could stop reading.
Result<UniqueFd> pipe_with(ByteView request) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  if (request.size() > largest_online_message) {
    return Error{Code::failed, "A request is far too long: report this bug.", 0};
  }
  CKPTSEAL_TRY(write_full(pipe.write_end.get(), request));
  return std::move(pipe.read_end);
}

// A run of it. At the end its process group goes too, while the group's number is still its own.
class Run {
 public:
  Run(Child child, UniqueFd output) : child_(std::move(child)), output_(std::move(output)) {}
  Run(Run&&) = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() { end_group(); }

  static Result<Run> start(const std::string& command, ByteView request) {
    CKPTSEAL_ASSIGN(const UniqueFd input, pipe_with(request));
    CKPTSEAL_ASSIGN(Pipe output, make_pipe());
    // Somebody who left the group may hold the other end for ever.
    if (fcntl(output.read_end.get(), F_SETFL, O_NONBLOCK) != 0) {
      return system_error("Cannot run the approver", errno);
    }
    const int error = fcntl(STDERR_FILENO, F_GETFD) < 0 ? -1 : STDERR_FILENO;
    CKPTSEAL_ASSIGN(Child child, Child::start({"/bin/sh", "-c", command},
                                              {input.get(), output.write_end.get(), error},
                                              Child::Group::its_own_session));
    return Run(std::move(child), std::move(output.read_end));
  }

  Result<Bytes> answer(const Approver& approver) {
    const auto deadline = Clock::now() + approver.timeout;
    CKPTSEAL_TRY(wait_for_end(deadline, approver));
    end_group();
    CKPTSEAL_TRY(take_output());
    CKPTSEAL_ASSIGN(const ExitStatus status, child_.wait());
    if (status.code == refused_for_good) {
      return Error{Code::revoked,
                   "The online approval was refused for good: this checkpoint was used as often, "
                   "or as long, as it may be; have it sealed anew, or use a recovery slot.",
                   0};
    }
    if (status.code == cannot_be_run) return unavailable("cannot be run");
    if (status.signal != 0) return unavailable(fmt::format("ended by signal {}", status.signal));
    if (!status.success()) return unavailable(fmt::format("failed with {}", status.code));
    return std::move(read_);
  }

 private:
  // Until the shell has ended. It is not reaped yet.
  Status wait_for_end(Clock::time_point deadline, const Approver& approver) {
    bool open = true;
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) {
        return unavailable(
            fmt::format("has not answered in {} s (--approver-timeout)", approver.timeout.count()));
      }
      const int signals = approver.signals == nullptr ? -1 : approver.signals->fd();
      pollfd watched[] = {
          {child_.fd(), POLLIN, 0}, {open ? output_.get() : -1, POLLIN, 0}, {signals, POLLIN, 0}};
      const int ready = poll(watched, 3, static_cast<int>(std::min<long>(left, 3'600'000)));
      if (ready < 0 && errno != EINTR) return system_error("Cannot wait for the approver", errno);
      if (ready <= 0) continue;
      if (watched[2].revents != 0 && approver.signals->take()) {
        return Error{Code::failed, "Asking for an online approval was interrupted; try again.",
                     EINTR};
      }
      if (watched[1].revents != 0) {
        CKPTSEAL_ASSIGN(open, read_some());
      }
      if (watched[0].revents != 0) return {};
    }
  }

  // false at the end.
  Result<bool> read_some() {
    std::uint8_t buffer[largest_online_message];
    const ssize_t n = read(output_.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n < 0) return system_error("Cannot read the approver's answer", errno);
    read_.insert(read_.end(), buffer, buffer + n);
    if (read_.size() > largest_online_message) return unavailable("wrote more than an answer");
    return n > 0;
  }

  // What is in the pipe once nobody of the group writes any more.
  Status take_output() {
    for (;;) {
      const std::size_t before = read_.size();
      CKPTSEAL_TRY(read_some());
      if (read_.size() == before) return {};
    }
  }

  void end_group() const {
    if (child_.pid() > 0) kill(-child_.pid(), SIGKILL);
  }

  Child child_;
  UniqueFd output_;
  Bytes read_;
};

}  // namespace

Result<Bytes> ask_approver(const Approver& approver, ByteView request) {
  CKPTSEAL_ASSIGN(Run run, Run::start(approver.command, request));
  return run.answer(approver);
}

}  // namespace ckptseal
