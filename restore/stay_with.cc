// SPDX-License-Identifier: Apache-2.0
//
// In the foreground: a restored program's signals and end are this process's.
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "restore/restore.h"

namespace ckptseal {

namespace {

sigset_t relayed_signals() {
  sigset_t out;
  sigemptyset(&out);
  for (const int number :
       {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT}) {
    sigaddset(&out, number);
  }
  return out;
}

}  // namespace

Status hold_signals() {
  const sigset_t set = relayed_signals();
  if (sigprocmask(SIG_BLOCK, &set, nullptr) == 0) return {};
  return system_error("Cannot wait for the restored process", errno);
}

Result<ExitStatus> stay_with(pid_t task) {
  const sigset_t set = relayed_signals();
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(task, &status, WNOHANG);
    if (ended < 0) return system_error("Cannot wait for the restored process", errno);
    if (ended == task) {
      if (WIFSIGNALED(status)) return ExitStatus{-1, WTERMSIG(status)};
      return ExitStatus{WEXITSTATUS(status), 0};
    }
    int number = 0;
    if (sigwait(&set, &number) == 0 && number != SIGCHLD) kill(task, number);
  }
}

}  // namespace ckptseal
