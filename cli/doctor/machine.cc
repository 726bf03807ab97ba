// SPDX-License-Identifier: Apache-2.0
//
// doctor's look at memory and swap.
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/fd.h"
#include "base/secret.h"
#include "cli/doctor/doctor.h"

namespace ckptseal {
namespace {

// As the helper goes about it: it asks for no limit, and then locks all (harden_process).
bool can_lock_all() {
  const std::uint64_t has = effective_capabilities().value_or(0);
  constexpr std::uint64_t enough =
      (std::uint64_t{1} << CAP_IPC_LOCK) | (std::uint64_t{1} << CAP_SYS_RESOURCE);
  rlimit limit = {};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return (has & enough) != 0 || limit.rlim_max == RLIM_INFINITY;
}

Finding check_locked_memory() {
  const Result<Secret> secret = Secret::make(32);
  if (!secret.ok()) return problem("locked_memory", secret.error().message);
  if (can_lock_all()) return good("locked_memory", "Keys and the helper are locked in memory.");
  return hint("locked_memory",
              "Only keys are locked in memory, not the buffers of the helper; run as root with "
              "CAP_IPC_LOCK, raise the hard limit of 'ulimit -l', or use no swap.");
}

Finding check_memfd_secret() {
  const UniqueFd fd(static_cast<int>(syscall(SYS_memfd_secret, 0)));
  if (fd.valid()) return good("memfd_secret", "The kernel hides keys even from root.");
  return hint(
      "memfd_secret",
      "The kernel has no memfd_secret, so root can read keys from the helper while it runs; "
      "use Linux 6.5 or newer, or boot with secretmem.enable=1.");
}

// dm-crypt says so in the device's uuid; memory that is compressed is memory.
bool is_encrypted_or_memory(const std::string& path, bool is_device) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return false;
  const dev_t device = is_device ? info.st_rdev : info.st_dev;
  const std::string folder = fmt::format("/sys/dev/block/{}:{}", ::major(device), ::minor(device));
  std::error_code code;
  const std::string name = std::filesystem::read_symlink(folder, code).filename();
  std::string uuid;
  std::ifstream(folder + "/dm/uuid") >> uuid;
  return name.starts_with("zram") || uuid.starts_with("CRYPT-");
}

// Lines of /proc/swaps behind the first: path, type, numbers. Blanks in a path are \040.
Finding check_swap() {
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line);
  std::vector<std::string> plain;
  bool any = false;
  while (std::getline(swaps, line)) {
    std::istringstream words(line);
    std::string path;
    std::string type;
    words >> path >> type;
    any = true;
    if (!is_encrypted_or_memory(path, type == "partition")) plain.push_back(path);
  }
  if (!any) return good("swap", "There is no swap.");
  if (plain.empty()) return good("swap", "All swap is encrypted, or in memory.");
  return hint("swap",
              fmt::format("The swap {} does not look encrypted, and what a process knows may be on "
                          "it before that is sealed; encrypt it, or turn it off (swapoff).",
                          fmt::join(plain, ", ")));
}

}  // namespace

std::optional<std::uint64_t> effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "CapEff:") continue;
    std::string digits;
    status >> digits;
    std::uint64_t out = 0;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    if (end.ec == std::errc()) return out;
  }
  return std::nullopt;
}

Findings examine_machine() { return {check_locked_memory(), check_memfd_secret(), check_swap()}; }

}  // namespace ckptseal
