// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM, SIGINT and SIGHUP as something to be asked for rather than the end at once: a command
// that has more to take back than the kernel does ends by them when it has done so. docs/criu.md,
// "Signals".
#pragma once

#include <csignal>
#include <optional>
#include <string>

#include "base/fd.h"

namespace ckptseal {

class EndingSignals {
 public:
  EndingSignals();
  EndingSignals(const EndingSignals&) = delete;
  EndingSignals& operator=(const EndingSignals&) = delete;
  // Those that came and were not taken are dropped; from then on they end the process again.
  ~EndingSignals();

  // From now on they wait, in this thread, in the threads that it starts, and in its forks
  // (Child::fork; a program that Child::start starts has none blocked). One that the caller of the
  // process had ignored or blocked stays so and is never taken.
  Status hold();
  // Readable when one waits; -1 before hold().
  int fd() const { return fd_.get(); }
  // The first that came since hold(), the same at each call. Others stay where they are, so that
  // whoever takes none can pass them on (sigwait).
  std::optional<int> take();
  std::optional<int> taken() const { return taken_; }

 private:
  sigset_t held_;
  UniqueFd fd_;
  std::optional<int> taken_;
};

// From now on no terminal stops this process (SIGTSTP, SIGTTIN, SIGTTOU), nor what it forks and
// starts from then on. SIGSTOP does.
void ignore_terminal_stops();

// "SIGTERM"; of others the number.
std::string signal_word(int number);
// Ends this process by a signal that was taken, as if it had not waited: whoever waits for the
// process sees that. Returns 128 + `number` where that is impossible: process 1 of a container.
int end_by_signal(int number);

}  // namespace ckptseal
