// SPDX-License-Identifier: Apache-2.0
//
// signalfd(2): nothing runs in a handler, and a signal is one event among those that a loop waits
// for.
#include "base/ending_signals.h"

#include <fmt/format.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

namespace ckptseal {
namespace {

struct Named {
  int number;
  const char* word;
};
constexpr Named ending[] = {{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}, {SIGHUP, "SIGHUP"}};

// As nohup does with SIGHUP. One that is blocked and ignored would wait all the same.
bool is_ignored(int number) {
  struct sigaction action = {};
  return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

EndingSignals::EndingSignals() : held_() { sigemptyset(&held_); }

EndingSignals::~EndingSignals() {
  if (!fd_.valid()) return;
  signalfd_siginfo dropped = {};
  while (read(fd_.get(), &dropped, sizeof dropped) == sizeof dropped) {
  }
  pthread_sigmask(SIG_UNBLOCK, &held_, nullptr);
}

Status EndingSignals::hold() {
  sigset_t blocked;
  if (pthread_sigmask(SIG_SETMASK, nullptr, &blocked) != 0) {
    return system_error("Cannot wait for signals", errno);
  }
  for (const Named& signal : ending) {
    if (is_ignored(signal.number) || sigismember(&blocked, signal.number) == 1) continue;
    sigaddset(&held_, signal.number);
  }
  fd_.reset(signalfd(-1, &held_, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_.valid()) return system_error("Cannot wait for signals", errno);
  pthread_sigmask(SIG_BLOCK, &held_, nullptr);
  return {};
}

std::optional<int> EndingSignals::take() {
  signalfd_siginfo next = {};
  if (!taken_ && fd_.valid() && read(fd_.get(), &next, sizeof next) == sizeof next) {
    taken_ = static_cast<int>(next.ssi_signo);
  }
  return taken_;
}

void ignore_terminal_stops() {
  for (const int number : {SIGTSTP, SIGTTIN, SIGTTOU}) signal(number, SIG_IGN);
}

std::string signal_word(int number) {
  for (const Named& signal : ending) {
    if (signal.number == number) return signal.word;
  }
  return fmt::format("signal {}", number);
}

int end_by_signal(int number) {
  signal(number, SIG_DFL);
  raise(number);
  return 128 + number;
}

}  // namespace ckptseal
