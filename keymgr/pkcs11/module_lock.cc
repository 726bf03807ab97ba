// SPDX-License-Identifier: Apache-2.0
//
// Where the lock's file stands, and what it means that another holds it.
#include "keymgr/pkcs11/module_lock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file_lock.h"
#include "base/private_files.h"

namespace ckptseal {
namespace {

// The last part of its path, by which a module is the same whether a URI has its path or its name.
// Two that share one wait for each other, which does no harm.
std::string file_of(const std::string& module) {
  return std::filesystem::path(module).filename().string() + ".lock";
}

// Invalid when none can be had.
UniqueFd open_lock(const std::string& name, const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    const Result<UniqueFd> made = make_private_folder(folder, Guard::no_access, folder);
    if (!made.ok()) continue;
    UniqueFd fd(openat(made.value().get(), name.c_str(),
                       O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (fd.valid()) return fd;
  }
  return {};
}

}  // namespace

std::vector<std::string> ModuleLock::standard_folders() {
  const uid_t user = geteuid();
  if (user == 0) return {"/run/ckpt-seal"};
  return {fmt::format("/run/user/{}/ckpt-seal", user), fmt::format("/run/lock/ckpt-seal-{}", user)};
}

Result<ModuleLock> ModuleLock::take(const std::string& module,
                                    const std::vector<std::string>& folders,
                                    std::chrono::milliseconds patience) {
  UniqueFd fd = open_lock(file_of(module), folders);
  if (!fd.valid()) return ModuleLock({});
  const Result<bool> locked = lock_file(fd.get(), patience, module);
  if (!locked.ok()) return ModuleLock({});
  if (!locked.value()) {
    return Error{Code::unavailable,
                 fmt::format("Another ckpt-seal has been using the PKCS #11 module {} all the "
                             "time: wait until it is done, and try again.",
                             module),
                 EWOULDBLOCK};
  }
  return ModuleLock(std::move(fd));
}

}  // namespace ckptseal
