// SPDX-License-Identifier: Apache-2.0
//
// The lock's file, and what it means that another holds it.
#include "keymgr/tpm2/tpm_lock.h"

#include <fmt/format.h>

#include <cerrno>

#include "base/file_lock.h"

namespace ckptseal {

Result<TpmLock> TpmLock::take(const std::string& path, std::chrono::milliseconds patience) {
  CKPTSEAL_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW,
                                         fmt::format("the lock of the TPM, {}", path)));
  CKPTSEAL_ASSIGN(const bool locked, lock_file(fd.get(), patience, path));
  if (!locked) {
    return Error{Code::unavailable,
                 "Another ckpt-seal has been using the TPM all the time: wait until it is done, "
                 "and try again.",
                 EWOULDBLOCK};
  }
  return TpmLock(std::move(fd));
}

}  // namespace ckptseal
