// SPDX-License-Identifier: Apache-2.0
//
// The half of unpacking that never looks at the archive: the hidden folder, the child that fills
// it, and the name. The child unpacks into .NAME.PID-N.unfinished/tree: the outer folder is closed
// to others, so the inner one can have its final permissions from the start.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/process.h"
#include "sealing/tree.h"
#include "sealing/tree_common.h"
#include "sealing/tree_unpack.h"

namespace ckptseal {
namespace {

constexpr const char* kInner = "tree";
constexpr std::size_t kMaxReport = std::size_t{8} << 20;

Error exists_error(const std::string& target) {
  return Error{
      Code::failed,
      fmt::format("{} exists and is not overwritten; choose another name, or say --force.", target),
      EEXIST};
}

// What the child sends: success, code, cause, message, warnings.
Bytes encode(const Status& status, const TreeWarnings& warnings) {
  ByteWriter out;
  const auto text = [&out](const std::string& sentence) {
    out.u32(static_cast<std::uint32_t>(sentence.size())).bytes(as_bytes(sentence));
  };
  out.u8(status.ok() ? 1 : 0);
  out.u8(static_cast<std::uint8_t>(status.ok() ? Code::failed : status.error().code));
  out.u32(status.ok() ? 0 : status.error().cause);
  text(status.ok() ? "" : status.error().message);
  out.u32(static_cast<std::uint32_t>(warnings.size()));
  for (const std::string& warning : warnings) text(warning);
  return out.take();
}

// nullopt when the child did not come to its end.
std::optional<Result<TreeWarnings>> decode(ByteView report) {
  ByteReader in(report);
  const auto text = [&in] { return std::string(as_text(in.view(in.u32()))); };
  const bool success = in.u8() == 1;
  const std::uint8_t code = in.u8();
  const std::uint32_t cause = in.u32();
  std::string message = text();
  TreeWarnings warnings;
  for (std::uint32_t left = in.u32(); left > 0 && in.ok(); --left) warnings.push_back(text());
  if (!in.at_end() || code < 1 || code > static_cast<std::uint8_t>(Code::no_slot)) {
    return std::nullopt;
  }
  if (success) return Result<TreeWarnings>(std::move(warnings));
  return Result<TreeWarnings>(Error{static_cast<Code>(code), std::move(message), cause});
}

// The writing end of the pipe that is read must not live on in the child.
Status close_others(std::array<int, 3> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned first = 3;
  for (const int fd : keep) {
    const auto kept = static_cast<unsigned>(fd);
    if (kept < first) continue;
    if (kept > first && close_range(first, kept - 1, 0) != 0) {
      return system_error("Cannot close descriptors", errno);
    }
    first = kept + 1;
  }
  if (close_range(first, UINT_MAX, 0) != 0) return system_error("Cannot close descriptors", errno);
  return {};
}

Status unpack_into(int outer_fd, int input_fd, int report_fd, WarningList& warnings) {
  CKPTSEAL_TRY(close_others({outer_fd, input_fd, report_fd}));
  if (fchdir(outer_fd) != 0 || mkdir(kInner, 0777) != 0 || chdir(kInner) != 0) {
    return system_error("Cannot make a folder to unpack into", errno);
  }
  CKPTSEAL_TRY(unpack_here(input_fd, warnings));
  if (syncfs(outer_fd) != 0) return system_error("Cannot sync what was unpacked", errno);
  return {};
}

int run_child(int outer_fd, int input_fd, int report_fd) {
  WarningList warnings;
  const Status status = unpack_into(outer_fd, input_fd, report_fd, warnings);
  return write_full(report_fd, encode(status, warnings.take())).ok() ? 0 : 1;
}

}  // namespace

struct TreeExtractor::State {
  std::string target;  // as the user wrote it, for messages
  std::string name;    // its last part
  OutputFile::Replace replace = OutputFile::Replace::never;
  UniqueFd parent;
  std::string hidden;  // the outer folder; empty when there is none
  UniqueFd outer;
  std::optional<Child> child;
  UniqueFd report;
  bool finished = false;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    child.reset();
    static_cast<void>(discard());
  }

  Status open_parent();
  Status check_target() const;
  Status make_outer();
  Status start_child(int input_fd);
  Status give_name();
  Status discard();
};

Status TreeExtractor::State::open_parent() {
  std::string path = target;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  name = std::filesystem::path(path).filename().string();
  if (name.empty() || name == "." || name == "..") {
    return Error{
        Code::usage,
        fmt::format("\"{}\" is no name for a new folder; name one that does not exist.", target),
        0};
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  CKPTSEAL_ASSIGN(parent, open_file(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY,
                                    fmt::format("the folder of {}", target)));
  return {};
}

Status TreeExtractor::State::check_target() const {
  struct stat info = {};
  if (fstatat(parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return system_error(fmt::format("Cannot look for {}", target), errno);
  }
  if (replace == OutputFile::Replace::never) return exists_error(target);
  if (!S_ISDIR(info.st_mode)) {
    return Error{
        Code::failed,
        fmt::format("{} is not a folder and is not replaced by one; choose another name.", target),
        ENOTDIR};
  }
  return {};
}

Status TreeExtractor::State::make_outer() {
  static std::atomic<unsigned> counter{0};  // two unfinished folders of one process differ
  const std::string chosen =
      fmt::format(".{}.{}-{}.unfinished", name.substr(0, 200), getpid(), counter++);
  const auto failed = [&] {
    return system_error(fmt::format("Cannot write to the folder of {}", target), errno);
  };
  if (mkdirat(parent.get(), chosen.c_str(), 0700) != 0) return failed();
  hidden = chosen;
  outer.reset(
      openat(parent.get(), hidden.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info = {};
  if (!outer.valid() || fstat(outer.get(), &info) != 0) return failed();
  if (info.st_uid != geteuid() || (info.st_mode & 0077) != 0) {
    return Error{Code::failed,
                 fmt::format("Others can change what is made in the folder of {}; choose a folder "
                             "of your own.",
                             target),
                 0};
  }
  // What is unpacked has the ACLs that it came with, none that this place hands down.
  fremovexattr(outer.get(), "system.posix_acl_default");
  return {};
}

Status TreeExtractor::State::start_child(int input_fd) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  const int outer_fd = outer.get();
  const int report_fd = pipe.write_end.get();
  CKPTSEAL_ASSIGN(child, Child::fork([=] { return run_child(outer_fd, input_fd, report_fd); }));
  report = std::move(pipe.read_end);
  return {};
}

// Moving a folder elsewhere takes the right to write to it.
Status TreeExtractor::State::give_name() {
  const UniqueFd inner(openat(outer.get(), kInner, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info = {};
  if (!inner.valid() || fstat(inner.get(), &info) != 0) {
    return system_error(fmt::format("Cannot name {}", target), errno);
  }
  const std::string path = descriptor_path(inner.get());
  const mode_t mode = info.st_mode & 07777;
  if ((mode & S_IWUSR) == 0 && chmod(path.c_str(), mode | S_IWUSR) != 0) {
    return system_error(fmt::format("Cannot name {}", target), errno);
  }
  int moved = renameat2(outer.get(), kInner, parent.get(), name.c_str(), RENAME_NOREPLACE);
  if (moved != 0 && errno == EEXIST) {
    CKPTSEAL_TRY(check_target());
    moved = renameat2(outer.get(), kInner, parent.get(), name.c_str(), RENAME_EXCHANGE);
  }
  if (moved != 0) return system_error(fmt::format("Cannot name {}", target), errno);
  if ((mode & S_IWUSR) == 0 && chmod(path.c_str(), mode) != 0) {
    return system_error(fmt::format("Cannot set the permissions of {}", target), errno);
  }
  return {};
}

Status TreeExtractor::State::discard() {
  if (hidden.empty()) return {};
  return remove_below(parent.get(), std::exchange(hidden, {}));
}

Result<TreeExtractor> TreeExtractor::start(int input_fd, const std::string& target,
                                           OutputFile::Replace replace) {
  auto state = std::make_unique<State>();
  state->target = target;
  state->replace = replace;
  CKPTSEAL_TRY(state->open_parent());
  CKPTSEAL_TRY(state->check_target());
  CKPTSEAL_TRY(state->make_outer());
  CKPTSEAL_TRY(state->start_child(input_fd));
  return TreeExtractor(std::move(state));
}

TreeExtractor::TreeExtractor(std::unique_ptr<State> state) : state_(std::move(state)) {}
TreeExtractor::TreeExtractor(TreeExtractor&&) noexcept = default;
TreeExtractor::~TreeExtractor() = default;

Result<TreeWarnings> TreeExtractor::finish() {
  if (!state_->child.has_value()) {
    return Error{Code::failed, "Unpacking has been waited for already; start it again.", 0};
  }
  Bytes report(kMaxReport);
  CKPTSEAL_ASSIGN(const std::size_t size, read_full(state_->report.get(), report));
  CKPTSEAL_ASSIGN(const ExitStatus ended, state_->child->wait());
  state_->child.reset();
  auto result = decode(ByteView(report).first(size));
  if (!ended.success() || !result.has_value()) {
    return Error{Code::failed,
                 fmt::format("Unpacking {} ended early (exit code {}, signal {}); try again.",
                             state_->target, ended.code, ended.signal),
                 0};
  }
  state_->finished = result->ok();
  return *std::move(result);
}

Status TreeExtractor::commit() {
  if (!std::exchange(state_->finished, false)) {
    return Error{
        Code::failed,
        fmt::format("{} is not complete and gets no name; unpack it again.", state_->target), 0};
  }
  CKPTSEAL_TRY(state_->give_name());
  if (fsync(state_->parent.get()) != 0) {
    return system_error(fmt::format("Cannot sync the folder of {}", state_->target), errno);
  }
  return state_->discard();  // the outer folder, and what was replaced
}

Result<TreeWarnings> extract_tree(int input_fd, const std::string& target,
                                  OutputFile::Replace replace) {
  CKPTSEAL_ASSIGN(TreeExtractor extractor, TreeExtractor::start(input_fd, target, replace));
  CKPTSEAL_ASSIGN(TreeWarnings warnings, extractor.finish());
  CKPTSEAL_TRY(extractor.commit());
  return warnings;
}

}  // namespace ckptseal
