// SPDX-License-Identifier: Apache-2.0
//
// Every check is on the descriptor that is then used, so nothing can be exchanged in between.
#include "base/private_files.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>

namespace ckptseal {
namespace {

Error refused(const std::string& what, std::string_view why) {
  return {Code::failed, fmt::format("Refused to use {}: {}.", what, why), 0};
}

// O_NOFOLLOW gives ELOOP for a link, and ENOTDIR for one where a folder is asked for.
Result<UniqueFd> open_unlinked(const std::string& path, int flags, const std::string& what) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
    return refused(what, "it is a symbolic link; put the real thing in its place");
  }
  return open_file(path, flags | O_NOFOLLOW | O_NONBLOCK, what);
}

Status check_owner_and_mode(int fd, Guard guard, const std::string& what, mode_t kind) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return system_error(fmt::format("Cannot look at {}", what), errno);
  if ((info.st_mode & S_IFMT) != kind) {
    return refused(what, kind == S_IFDIR ? "it is not a folder" : "it is not a regular file");
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return refused(what, fmt::format("it belongs to user {}, who could change it; give it to the "
                                     "user who runs this",
                                     info.st_uid));
  }
  if ((info.st_mode & static_cast<unsigned>(guard)) != 0) {
    return refused(
        what,
        fmt::format("{}, after a look at what they may have put there",
                    guard == Guard::no_writing ? "others may write to it; run chmod go-w on it"
                    : kind == S_IFDIR          ? "others may enter it; run chmod 700 on it"
                                               : "others may open it; run chmod 600 on it"));
  }
  return {};
}

Status sync_folder_of(const std::string& path, const std::string& what) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string name = fmt::format("the folder of {}", what);
  CKPTSEAL_ASSIGN(const UniqueFd folder,
                  open_file(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY, name));
  if (fsync(folder.get()) != 0) return system_error(fmt::format("Cannot sync {}", name), errno);
  return {};
}

}  // namespace

Result<UniqueFd> open_private_folder(const std::string& path, Guard guard,
                                     const std::string& what) {
  CKPTSEAL_ASSIGN(UniqueFd fd, open_unlinked(path, O_RDONLY | O_DIRECTORY, what));
  CKPTSEAL_TRY(check_owner_and_mode(fd.get(), guard, what, S_IFDIR));
  return fd;
}

Result<UniqueFd> make_private_folder(const std::string& path, Guard guard,
                                     const std::string& what) {
  if (mkdir(path.c_str(), 0700) == 0) {
    CKPTSEAL_TRY(sync_folder_of(path, what));
  } else if (errno != EEXIST) {
    return system_error(fmt::format("Cannot make {}", what), errno);
  }
  return open_private_folder(path, guard, what);
}

Result<Bytes> read_private_file(const std::string& path, std::size_t limit,
                                const std::string& what) {
  CKPTSEAL_ASSIGN(const UniqueFd fd, open_unlinked(path, O_RDONLY, what));
  CKPTSEAL_TRY(check_owner_and_mode(fd.get(), Guard::no_writing, what, S_IFREG));
  Bytes content(limit + 1);
  CKPTSEAL_ASSIGN(const std::size_t size, read_full(fd.get(), content));
  if (size > limit) {
    return refused(what,
                   fmt::format("it is longer than {} bytes, so it is another kind of file", limit));
  }
  content.resize(size);
  return content;
}

Result<UniqueFd> open_private_log(const std::string& path, const std::string& what) {
  CKPTSEAL_ASSIGN(UniqueFd fd, open_unlinked(path, O_RDWR | O_APPEND | O_CREAT, what));
  CKPTSEAL_TRY(check_owner_and_mode(fd.get(), Guard::no_access, what, S_IFREG));
  return fd;
}

Result<std::vector<std::string>> list_folder(const std::string& path, const std::string& what) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (folder == nullptr) return system_error(fmt::format("Cannot read {}", what), errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  if (errno != 0) return system_error(fmt::format("Cannot read {}", what), errno);
  std::sort(names.begin(), names.end());
  return names;
}

Status remove_file(const std::string& path, const std::string& what) {
  if (unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return system_error(fmt::format("Cannot remove {}", what), errno);
  }
  return sync_folder_of(path, what);
}

Status remove_folder(const std::string& path, const std::string& what) {
  if (rmdir(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return system_error(fmt::format("Cannot remove {}", what), errno);
  }
  return sync_folder_of(path, what);
}

}  // namespace ckptseal
