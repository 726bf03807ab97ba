// SPDX-License-Identifier: Apache-2.0
//
// Tries in small steps: a signal that ends a blocking flock would be one for the whole process.
#include "base/file_lock.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace ckptseal {

Result<bool> lock_file(int fd, std::chrono::milliseconds patience, const std::string& what) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::chrono::milliseconds pause{1};
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return system_error(fmt::format("Cannot lock {}", what), errno);
    }
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(50));
  }
  return true;
}

}  // namespace ckptseal
