// SPDX-License-Identifier: Apache-2.0
//
// Without room to lock memory there is no secret, rather than one in ordinary memory.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"

namespace ckptseal {
namespace {

TEST(LockedMemory, NoSecretWithoutIt) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) _exit(2);
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(3);  // root needs no limit
    const Result<Secret> secret = Secret::make(32);
    _exit(!secret.ok() && secret.error().code == Code::failed ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace ckptseal
