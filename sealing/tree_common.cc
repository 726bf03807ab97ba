// SPDX-License-Identifier: Apache-2.0
//
// Descriptors instead of paths, so that nobody can exchange a folder on the way.
#include "sealing/tree_common.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace ckptseal {
namespace {

constexpr std::size_t kMaxWarnings = 100;

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

// The folder `name`, opened even when its owner may not read it.
UniqueFd open_for_removal(int parent_fd, const std::string& name) {
  const UniqueFd path(
      openat(parent_fd, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!path.valid()) return UniqueFd();
  // If this fails so does what needs it.
  static_cast<void>(chmod(descriptor_path(path.get()).c_str(), 0700));
  return UniqueFd(openat(path.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

std::string quote_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || c == '"' || c == '\\') {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

void WarningList::add(std::string sentence) {
  if (sentences_.size() < kMaxWarnings) {
    sentences_.push_back(std::move(sentence));
  } else {
    ++others_;
  }
}

std::vector<std::string> WarningList::take() {
  if (others_ > 0) sentences_.push_back(fmt::format("There are {} more such warnings.", others_));
  others_ = 0;
  return std::exchange(sentences_, {});
}

std::string descriptor_path(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

Result<std::vector<std::string>> list_names(int folder_fd, const std::string& what) {
  UniqueFd own(openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, CloseFolder> folder(own.valid() ? fdopendir(own.get()) : nullptr);
  if (folder == nullptr) return system_error(fmt::format("Cannot read {}", what), errno);
  static_cast<void>(own.release());
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return system_error(fmt::format("Cannot read {}", what), errno);
  std::sort(names.begin(), names.end());
  return names;
}

Status remove_below(int parent_fd, const std::string& name) {
  if (unlinkat(parent_fd, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  const auto failed = [&] {
    return system_error(fmt::format("Cannot remove {}", quote_name(name)), errno);
  };
  if (errno != EISDIR && errno != EPERM) return failed();
  {
    const UniqueFd folder = open_for_removal(parent_fd, name);
    if (!folder.valid()) return failed();
    CKPTSEAL_ASSIGN(const auto below, list_names(folder.get(), quote_name(name)));
    for (const std::string& child : below) CKPTSEAL_TRY(remove_below(folder.get(), child));
  }
  if (unlinkat(parent_fd, name.c_str(), AT_REMOVEDIR) != 0) return failed();
  return {};
}

}  // namespace ckptseal
