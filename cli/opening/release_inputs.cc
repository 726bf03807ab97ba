// SPDX-License-Identifier: Apache-2.0
//
// Approvals are found here and parsed in the helper.
#include "cli/opening/release_inputs.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "cli/host_access.h"

namespace ckptseal {
namespace {

constexpr std::string_view ending = ".approval";
constexpr std::size_t most_approvals = 256;

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

// Names of approvals, sorted. Empty when the folder cannot be read and need not.
Result<std::vector<std::string>> list_approvals(const std::string& folder, bool must_open) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, CloseFolder> open(opendir(folder.c_str()));
  if (!open) {
    if (!must_open || errno == ENOENT) return out;
    return system_error(fmt::format("Cannot read the approvals in {}", folder), errno);
  }
  while (const dirent* entry = readdir(open.get())) {
    const std::string_view name(entry->d_name);
    if (name.size() > ending.size() && name.ends_with(ending)) out.emplace_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

// What is no regular file is none; a pipe is not waited for, and a link could lead to a device,
// which opening alone may set off.
Result<std::optional<Bytes>> read_approval(const std::string& path) {
  CKPTSEAL_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC,
                                               fmt::format("the approval {}", path)));
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return system_error("Cannot read " + path, errno);
  if (!S_ISREG(info.st_mode)) return std::optional<Bytes>();
  Bytes content(largest_approval_file + 1);  // one more: it is then refused for its length
  CKPTSEAL_ASSIGN(const std::size_t size, read_full(fd.get(), content));
  content.resize(size);
  return std::optional<Bytes>(std::move(content));
}

Bytes read_tickets(int fd) {
  Bytes content(TicketCache::largest_file);
  const Result<std::size_t> size = pread_full(fd, content, 0);
  content.resize(size.ok() ? size.value() : 0);
  return content;
}

// In place: half of it is no cache, and costs one more verification.
void write_tickets(int fd, const Bytes& content) {
  if (!pwrite_full(fd, content, 0).ok()) return;
  (void)!ftruncate(fd, static_cast<off_t>(content.size()));
}

}  // namespace

std::string folder_of(const std::string& file) {
  if (file == "-") return "";
  const std::string folder = std::filesystem::path(file).parent_path().string();
  return folder.empty() ? "." : folder;
}

Result<ReleaseInputs> ReleaseInputs::find(const State& state, const std::string& beside) {
  ReleaseInputs out;
  CKPTSEAL_TRY(out.add_folder(state.approvals_folder(), true));
  if (!beside.empty()) CKPTSEAL_TRY(out.add_folder(beside, false));
  UniqueFd tickets(open(state.tickets_path().c_str(),
                        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (tickets.valid()) out.tickets_ = std::make_shared<UniqueFd>(std::move(tickets));
  return out;
}

Status ReleaseInputs::add_folder(const std::string& folder, bool must_open) {
  CKPTSEAL_ASSIGN(const std::vector<std::string> names, list_approvals(folder, must_open));
  if (names.size() > most_approvals) {
    return Error{Code::usage,
                 fmt::format("There are more than {} approvals in {}; remove those of states that "
                             "no host is in any more.",
                             most_approvals, folder),
                 0};
  }
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", folder, name);
    Result<std::optional<Bytes>> content = read_approval(path);
    if (!content.ok()) {
      refusals_.push_back(content.error().message);
    } else if (content.value()) {
      approvals_.push_back({path, *std::move(content).value()});
    }
  }
  return {};
}

ReleaseHelp ReleaseInputs::help(std::function<Result<Secret>()> pin) const {
  ReleaseHelp out;
  out.approvals = [this] {
    ApprovalsAtHand at_hand{{}, refusals_};
    for (const File& file : approvals_) {
      const std::string what = fmt::format("the approval {}", file.path);
      Result<Approval> approval = Approval::read(file.content, what);
      if (!approval.ok()) {
        at_hand.refusals.push_back(approval.error().message);
      } else if (approval.value().expired(now_seconds())) {
        at_hand.refusals.push_back(fmt::format("{} has expired.", what));
      } else {
        at_hand.usable.push_back(std::move(approval).value());
      }
    }
    return at_hand;
  };
  out.pin = std::move(pin);
  if (tickets_) {
    const std::shared_ptr<UniqueFd> fd = tickets_;
    out.tickets = std::make_shared<TicketCache>(
        read_tickets(fd->get()), [fd](const Bytes& content) { write_tickets(fd->get(), content); });
  }
  return out;
}

std::vector<int> ReleaseInputs::descriptors() const {
  if (!tickets_) return {};
  return {tickets_->get()};
}

}  // namespace ckptseal
