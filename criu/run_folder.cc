// SPDX-License-Identifier: Apache-2.0
//
// Whoever holds the lock of a folder owns it: its run for as long as it lives, else the one who
// removes it. A folder that was just made has no lock yet and may be taken for one that was left;
// its maker sees that it is gone, and makes another.
#include "criu/run_folder.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "base/file_lock.h"
#include "base/private_files.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "ckpt-seal-";
constexpr std::size_t random_letters = 6;  // those of mkdtemp

bool is_on_tmpfs(const std::string& path) {
  struct statfs info = {};
  return statfs(path.c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC;
}

bool has_the_form(std::string_view name) {
  return name.starts_with(prefix) && name.size() == prefix.size() + random_letters &&
         std::all_of(name.begin() + prefix.size(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0; });
}

struct stat look_at(int fd) {
  struct stat out = {};
  if (fstat(fd, &out) != 0) out = {};
  return out;
}

// The folder's descriptor with its lock; nothing when it is somebody else's, alive or gone.
std::optional<UniqueFd> take(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid() || look_at(fd.get()).st_uid != geteuid()) return std::nullopt;
  const Result<bool> locked = lock_file(fd.get(), std::chrono::milliseconds(0), path);
  // Without a link it was removed between the two.
  if (!locked.ok() || !locked.value() || look_at(fd.get()).st_nlink == 0) return std::nullopt;
  return fd;
}

// With its lock held. Nobody else can put another in its place: only its owner and root may rename
// in `base`, and no link in it is followed.
void remove(const std::string& path) {
  std::error_code code;
  fs::remove_all(path, code);
}

void remove_those_left_behind(const std::string& base) {
  const Result<std::vector<std::string>> names = list_folder(base, base);
  if (!names.ok()) return;
  for (const std::string& name : names.value()) {
    if (!has_the_form(name)) continue;
    const std::string path = fmt::format("{}/{}", base, name);
    const std::optional<UniqueFd> taken = take(path);
    // With other permissions it is none of ours.
    if (taken && (look_at(taken->get()).st_mode & 07777) == 0700) remove(path);
  }
}

}  // namespace

Result<RunFolder> RunFolder::make(const std::vector<std::string>& bases) {
  for (const std::string& base : bases) {
    if (!is_on_tmpfs(base)) continue;
    remove_those_left_behind(base);
    for (int round = 0; round < 100; ++round) {
      std::string path = fmt::format("{}/{}XXXXXX", base, prefix);
      if (mkdtemp(path.data()) == nullptr) break;
      std::optional<UniqueFd> lock = take(path);
      if (lock) return RunFolder(std::move(path), *std::move(lock));
    }
  }
  return Error{Code::failed,
               fmt::format("There is no folder in memory for CRIU's logs: none of {} is a tmpfs "
                           "that this user may write to; mount one.",
                           fmt::join(bases, ", ")),
               0};
}

RunFolder::~RunFolder() {
  if (lock_.valid()) remove(path_);
}

}  // namespace ckptseal
