// SPDX-License-Identifier: Apache-2.0
//
// prctl, rlimits, user ids and two seccomp filters, the second inside the first.
#include "sealing/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <malloc.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <memory>
#include <vector>

namespace ckptseal {
namespace {

constexpr uid_t nobody = 65534;

Error sandbox_error(const char* what, int error) {
  return system_error(fmt::format("Cannot sandbox the helper ({})", what), error);
}

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

// What no step of the helper ever does.
constexpr int forbidden[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(io_uring_setup),
};

// All that reading and writing of open descriptors needs. Secrets of later images come from
// memfd_secret, which needs ftruncate.
constexpr int allowed[] = {
    SCMP_SYS(read),           SCMP_SYS(write),        SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),       SCMP_SYS(readv),        SCMP_SYS(writev),
    SCMP_SYS(vmsplice),       SCMP_SYS(lseek),        SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),     SCMP_SYS(close),        SCMP_SYS(munmap),
    SCMP_SYS(mremap),         SCMP_SYS(madvise),      SCMP_SYS(brk),
    SCMP_SYS(mlock),          SCMP_SYS(memfd_secret), SCMP_SYS(ftruncate),
    SCMP_SYS(futex),          SCMP_SYS(sched_yield),  SCMP_SYS(poll),
    SCMP_SYS(ppoll),          SCMP_SYS(sendmsg),      SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),         SCMP_SYS(recvfrom),     SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday), SCMP_SYS(getpid),
    SCMP_SYS(gettid),         SCMP_SYS(getrusage),    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
    SCMP_SYS(tgkill),         SCMP_SYS(sigaltstack),  SCMP_SYS(exit),
    SCMP_SYS(exit_group),
#ifdef CKPTSEAL_SANITIZED
    SCMP_SYS(pipe2),  // UndefinedBehaviorSanitizer asks it whether memory can be read
#endif
};

// Of fcntl and ioctl only what a pipe of CRIU needs (docs/criu-stream.md, "Pipes"): not to
// duplicate, lock or hand out descriptors, nor to type at a terminal. The kernel looks at the lower
// half of both arguments alone.
int allow_pipe_settings(scmp_filter_ctx filter) {
  constexpr scmp_datum_t lower_half = 0xffffffff;
  const auto argument = [](unsigned index, int value) {
    return scmp_arg_cmp{index, SCMP_CMP_MASKED_EQ, lower_half, static_cast<scmp_datum_t>(value)};
  };
  const int number = SCMP_SYS(fcntl);
  int error = 0;
  for (const int command : {F_GETFL, F_SETPIPE_SZ}) {
    if (error == 0) {
      error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, argument(1, command));
    }
  }
  if (error == 0) {
    error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 2, argument(1, F_SETFL),
                             argument(2, O_NONBLOCK));
  }
  if (error != 0) return error;
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, argument(1, FIONREAD));
}

// For all threads of the process.
Status load_filter(const Filter& filter, int rule_error) {
  if (rule_error == 0) rule_error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (rule_error != 0) return sandbox_error("seccomp rule", -rule_error);
  const int error = seccomp_load(filter.get());
  if (error != 0) return sandbox_error("seccomp", -error);
  return {};
}

Status forbid_for_ever() {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  int error = 0;
  for (const int number : forbidden) {
    if (error == 0) error = seccomp_rule_add(filter.get(), SCMP_ACT_KILL_PROCESS, number, 0);
  }
  return load_filter(filter, error);
}

Status allow_only_io() {
  const Filter filter(seccomp_init(SCMP_ACT_KILL_PROCESS), seccomp_release);
  int error = 0;
  for (const int number : allowed) {
    if (error == 0) error = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
  }
  // New memory, but none that can be executed.
  // Not by the macros of seccomp.h, which are C: argument 2, its bit PROT_EXEC, is 0.
  const scmp_arg_cmp no_exec = {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
  for (const int number : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    if (error == 0) error = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 1, no_exec);
  }
  if (error == 0) error = allow_pipe_settings(filter.get());
  return load_filter(filter, error);
}

Status close_others(std::span<const int> keep) {
  std::vector<unsigned> sorted = {2};
  for (const int fd : keep) {
    if (fd > 2) sorted.push_back(static_cast<unsigned>(fd));
  }
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const unsigned first = sorted[i] + 1;
    const unsigned end = i + 1 < sorted.size() ? sorted[i + 1] : UINT_MAX;
    if (first < end && close_range(first, end - 1, 0) != 0) {
      return sandbox_error("descriptors", errno);
    }
  }
  return {};
}

Status not_dumpable() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sandbox_error("dumpable", errno);
  return {};
}

Status give_up_root() {
  if (geteuid() != 0) return {};
  const pid_t parent = getppid();
  if (setgroups(0, nullptr) != 0 || setresgid(nobody, nobody, nobody) != 0 ||
      setresuid(nobody, nobody, nobody) != 0) {
    return sandbox_error("user", errno);
  }
  // A change of user clears both of these.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) return Error{Code::failed, "The command that started it is gone.", 0};
  return not_dumpable();
}

}  // namespace

Status harden_process(std::span<const int> keep) {
  const rlimit no_core = {0, 0};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0) return sandbox_error("core files", errno);
  CKPTSEAL_TRY(not_dumpable());
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sandbox_error("privileges", errno);
  CKPTSEAL_TRY(close_others(keep));
  // When an arena of another thread shrinks, malloc reads in /proc whether memory is overcommitted,
  // which it could not later. Threads here ask for little, so one arena does.
  mallopt(M_ARENA_MAX, 1);
  // Root locks everything that is and will be. Without root the keys alone are locked
  // (base/secret.h), for the usual limit of 8 MiB is too small for all of it; doctor says so.
  const rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &no_limit) == 0) mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  return forbid_for_ever();
}

Status enter_sandbox() {
  CKPTSEAL_TRY(give_up_root());
  return allow_only_io();
}

}  // namespace ckptseal
