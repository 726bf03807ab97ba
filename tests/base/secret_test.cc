// SPDX-License-Identifier: Apache-2.0
//
// base/secret.h, each promise asked of the kernel: locked, not in a core file, not in a fork, not
// readable through /proc, gone afterwards.
#include "base/secret.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>
#include <string>
#include <type_traits>

#include "base/fd.h"

namespace ckptseal {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret>);

Secret secret_of(std::string_view text) {
  Result<Secret> secret = Secret::copy_of(as_bytes(text));
  if (!secret.ok()) throw std::runtime_error(secret.error().message);
  return std::move(secret).value();
}

// The line "VmFlags: ..." of the mapping that contains `address` in /proc/self/smaps; empty when
// nothing is mapped there.
std::string vm_flags_at(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    if (std::istringstream(line) >> std::hex >> first >> dash >> end && dash == '-') {
      inside = wanted >= first && wanted < end;
    } else if (inside && line.rfind("VmFlags:", 0) == 0) {
      return line + " ";
    }
  }
  return "";
}

TEST(SecretTest, HoldsWhatWasPutIn) {
  Secret secret = secret_of("correct horse");
  EXPECT_EQ(as_text(secret.view()), "correct horse");
  EXPECT_EQ(secret.size(), 13U);
  secret.mutable_view()[0] = 'C';
  EXPECT_EQ(as_text(secret.view()), "Correct horse");
  Result<Secret> zeros = Secret::make(5000);
  ASSERT_TRUE(zeros.ok());
  EXPECT_TRUE(all_zero(zeros.value().view()));
}

TEST(SecretTest, RefusesSizesThatAreNone) {
  EXPECT_FALSE(Secret::make(0).ok());
  EXPECT_FALSE(Secret::make((1 << 20) + 1).ok());
  EXPECT_FALSE(Secret::make(SIZE_MAX).ok());
  EXPECT_FALSE(Secret::copy_of({}).ok());
  EXPECT_TRUE(Secret::make(1 << 20).ok());
}

TEST(SecretTest, IsLockedAndInNoCoreFileAndNoFork) {
  const Secret secret = secret_of("key");
  const std::string flags = vm_flags_at(secret.view().data());
  EXPECT_NE(flags.find(" lo "), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dc "), std::string::npos) << flags;
  const std::string ordinary = vm_flags_at(&secret);
  EXPECT_EQ(ordinary.find(" dd "), std::string::npos) << "the flags tell nothing: " << ordinary;
}

// With memfd_secret not even root reads it; without, the test has nothing to look at.
TEST(SecretTest, CannotBeReadThroughProc) {
  const Secret secret = secret_of("key");
  std::ifstream maps("/proc/self/maps");
  std::stringstream text;
  text << maps.rdbuf();
  if (text.str().find("/secretmem") == std::string::npos) GTEST_SKIP() << "no memfd_secret here";
  const UniqueFd memory(open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(memory.valid());
  char byte = 0;
  const char ordinary = 'x';
  ASSERT_EQ(pread(memory.get(), &byte, 1, reinterpret_cast<off_t>(&ordinary)), 1);
  EXPECT_EQ(pread(memory.get(), &byte, 1, reinterpret_cast<off_t>(secret.view().data())), -1);
}

// A child that touches it dies of SIGSEGV: there is nothing at that address.
TEST(SecretTest, IsNotInherited) {
  const Secret secret = secret_of("key");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    // mincore() tells without a fault, which a sanitizer would turn into an exit.
    unsigned char resident = 0;
    void* address = const_cast<std::uint8_t*>(secret.view().data());  // the start of its mapping
    _exit(mincore(address, 1, &resident) == -1 && errno == ENOMEM ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the mapping is there in the child";
}

TEST(SecretTest, IsUnmappedWhenItGoes) {
  const void* address = nullptr;
  {
    const Secret secret = secret_of("key");
    address = secret.view().data();
    ASSERT_NE(vm_flags_at(address), "");
  }
  const std::string flags = vm_flags_at(address);
  EXPECT_EQ(flags.find(" dd "), std::string::npos) << flags;
}

TEST(SecretTest, ShrinkWipesWhatIsCutOff) {
  Secret secret = secret_of("passphrase\n");
  const std::uint8_t* memory = secret.view().data();
  secret.shrink(4);
  EXPECT_EQ(as_text(secret.view()), "pass");
  EXPECT_TRUE(all_zero({memory + 4, 7}));  // still the mapping of the secret
  secret.shrink(100);
  EXPECT_EQ(secret.size(), 4U);
}

TEST(SecretTest, AMoveLeavesNothingBehind) {
  Secret first = secret_of("one");
  Secret second = std::move(first);
  EXPECT_EQ(as_text(second.view()), "one");
  EXPECT_EQ(first.size(), 0U);  // NOLINT(*-use-after-move,*.Move): the question
  Secret third = secret_of("three");
  const void* overwritten = third.view().data();
  third = std::move(second);
  EXPECT_EQ(as_text(third.view()), "one");
  EXPECT_EQ(vm_flags_at(overwritten).find(" dd "), std::string::npos);
}

TEST(SecretTest, WipeOverwrites) {
  Bytes bytes = {1, 2, 3};
  wipe(bytes);
  EXPECT_TRUE(all_zero(bytes));
  wipe({});
}

}  // namespace
}  // namespace ckptseal
