// SPDX-License-Identifier: Apache-2.0
//
// flock(2) in small steps, for it knows no time limit of its own.
#include "keymgr/tpm2/tpm_lock.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <thread>

namespace ckptseal {

Result<TpmLock> TpmLock::take(const std::string& path, std::chrono::milliseconds patience) {
  CKPTSEAL_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW,
                                         fmt::format("the lock of the TPM, {}", path)));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::chrono::milliseconds pause{1};
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return system_error(fmt::format("Cannot lock {}", path), errno);
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error{Code::unavailable,
                   "Another ckpt-seal has been using the TPM all the time: wait until it is done, "
                   "and try again.",
                   EWOULDBLOCK};
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(50));
  }
  return TpmLock(std::move(fd));
}

}  // namespace ckptseal
