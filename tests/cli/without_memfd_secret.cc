// SPDX-License-Identifier: Apache-2.0
//
// without_memfd_secret COMMAND...: runs a command as on a kernel that has no memfd_secret, so that
// a test can look into memory that is hidden from it otherwise.
#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  void* filter = seccomp_init(SCMP_ACT_ALLOW);
  const bool loaded =
      filter != nullptr &&
      seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(memfd_secret), 0) == 0 &&
      seccomp_load(filter) == 0;
  seccomp_release(filter);
  if (loaded) execv(argv[1], argv + 1);
  std::perror("without_memfd_secret");
  return 127;
}
