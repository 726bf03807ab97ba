// SPDX-License-Identifier: Apache-2.0
//
// O_TMPFILE and linkat(2), with a hidden name where a file system lacks the first, and rename(2)
// where a file may be replaced.
#include "base/output_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace ckptseal {
namespace {

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string file_name_of(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

Error exists_error(const std::string& path) {
  return Error{
      Code::failed,
      fmt::format("{} exists and is not overwritten; choose another name, or say --force.", path),
      EEXIST};
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path, unsigned mode, Replace replace,
                                      Unfinished unfinished) {
  if (path.empty()) return Error{Code::failed, "The output has no name; name a file.", ENOENT};
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return Error{Code::failed, fmt::format("{} is a folder; name a file in it.", path), EISDIR};
    }
    if (!S_ISREG(info.st_mode)) {
      return Error{Code::failed,
                   fmt::format("{} is not a regular file; to write to a pipe or a device send the "
                               "output there with -o -.",
                               path),
                   0};
    }
    if (replace == Replace::never) return exists_error(path);
  } else if (errno == ENAMETOOLONG) {
    return system_error(fmt::format("Cannot name {}", path), errno);
  } else if (replace == Replace::never && lstat(path.c_str(), &info) == 0) {
    return exists_error(path);  // a link to nowhere
  }
  OutputFile file(path, replace);
  CKPTSEAL_ASSIGN(file.folder_, open_file(folder_of(path), O_RDONLY | O_DIRECTORY,
                                          fmt::format("the folder of {}", path)));
  CKPTSEAL_TRY(file.open_unfinished(mode, unfinished));
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      replace_(other.replace_),
      folder_(std::move(other.folder_)),
      fd_(std::move(other.fd_)),
      temporary_(std::exchange(other.temporary_, {})) {}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) unlinkat(folder_.get(), temporary_.c_str(), 0);
}

std::string OutputFile::temporary_name() const {
  static std::atomic<unsigned> counter{0};  // two unfinished files of one process differ
  constexpr std::size_t most_of_it = 100;   // for what is added must fit as well
  return fmt::format(".{}.{}-{}.unfinished", file_name_of(path_).substr(0, most_of_it), getpid(),
                     counter++);
}

Status OutputFile::open_unfinished(unsigned mode, Unfinished unfinished) {
  if (unfinished == Unfinished::unnamed_if_possible) {
    fd_.reset(openat(folder_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
    if (fd_.valid()) return {};
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) {
      return system_error(fmt::format("Cannot write to the folder of {}", path_), errno);
    }
  }
  std::string name = temporary_name();
  fd_.reset(openat(folder_.get(), name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode));
  if (!fd_.valid()) {
    return system_error(fmt::format("Cannot write to the folder of {}", path_), errno);
  }
  temporary_ = std::move(name);
  return {};
}

Status OutputFile::give_name() {
  const std::string target = file_name_of(path_);
  const std::string self = fmt::format("/proc/self/fd/{}", fd_.get());
  const int folder = folder_.get();
  if (temporary_.empty()) {
    // Straight to its name unless something may have to be replaced, which only rename can do.
    std::string name = replace_ == Replace::never ? target : temporary_name();
    if (linkat(AT_FDCWD, self.c_str(), folder, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return errno == EEXIST ? exists_error(path_)
                             : system_error(fmt::format("Cannot name {}", path_), errno);
    }
    if (replace_ == Replace::never) return {};
    temporary_ = std::move(name);
  }
  const unsigned flags = replace_ == Replace::never ? RENAME_NOREPLACE : 0;
  if (renameat2(folder, temporary_.c_str(), folder, target.c_str(), flags) != 0) {
    return errno == EEXIST ? exists_error(path_)
                           : system_error(fmt::format("Cannot name {}", path_), errno);
  }
  temporary_.clear();
  return {};
}

Status OutputFile::commit() {
  if (fsync(fd_.get()) != 0) return system_error(fmt::format("Cannot sync {}", path_), errno);
  CKPTSEAL_TRY(give_name());
  if (fsync(folder_.get()) == 0) return {};
  Error error = system_error(fmt::format("Cannot sync the folder of {}", path_), errno);
  if (replace_ == Replace::never) unlinkat(folder_.get(), file_name_of(path_).c_str(), 0);
  return error;
}

Status write_file(const std::string& path, ByteView content, unsigned mode,
                  OutputFile::Replace replace) {
  CKPTSEAL_ASSIGN(OutputFile file, OutputFile::create(path, mode, replace));
  CKPTSEAL_TRY(write_full(file.fd(), content));
  return file.commit();
}

Result<UniqueFd> make_spool_file(const std::string& folder) {
  UniqueFd fd(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.valid()) return fd;
  std::string name = folder + "/ckpt-seal-XXXXXX";
  fd.reset(mkostemp(name.data(), O_CLOEXEC));
  if (!fd.valid()) {
    return system_error(fmt::format("Cannot write a temporary file in {}", folder), errno);
  }
  unlink(name.c_str());
  return fd;
}

}  // namespace ckptseal
