// SPDX-License-Identifier: Apache-2.0
//
// Reads /proc. Processes come and go until CRIU stops them, so this is a courtesy to the user and
// no guarantee; but none of it comes about by chance between the look and the dump.
#include "criu/refuse.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "criu/nftables.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view secret_memory = "/secretmem (deleted)";
// The smallest pages of hugetlb that any architecture has.
constexpr std::uint64_t smallest_huge_page = 64 << 10;

// What reading anything of a process says once it is gone.
bool is_gone(int error) { return error == ENOENT || error == ESRCH; }

Error refused(std::string sentence) { return {Code::usage, std::move(sentence), 0}; }

Error unreadable(pid_t pid, int error) {
  return system_error(fmt::format("Cannot look at process {} before the dump", pid), error);
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> out;
  std::error_code code;
  for (fs::directory_iterator task(fmt::format("/proc/{}/task", pid), code), end;
       !code && task != end; task.increment(code)) {
    std::ifstream list(task->path() / "children");
    for (pid_t child = 0; list >> child;) out.push_back(child);
  }
  return out;
}

// Everything below comes after what it is below.
std::vector<pid_t> tree_of(pid_t root) {
  std::vector<pid_t> out = {root};
  std::set<pid_t> seen = {root};
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (const pid_t child : children_of(out[i])) {
      if (seen.insert(child).second) out.push_back(child);
    }
  }
  return out;
}

// A line of /proc/PID/maps: 7f00-7f40 rw-p 00000000 00:0f 1234    /anon_hugepage (deleted)
struct Mapping {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool is_private = false;
  bool of_a_file = false;
  std::string_view path;

  // hugetlb memory always is of a file, of a nameless one if need be.
  bool may_be_private_hugetlb() const {
    return is_private && of_a_file && (start | end) % smallest_huge_page == 0;
  }
};

std::string_view next_word(std::string_view& rest) {
  const std::size_t begin = std::min(rest.find_first_not_of(' '), rest.size());
  const std::size_t end = std::min(rest.find(' ', begin), rest.size());
  const std::string_view word = rest.substr(begin, end - begin);
  rest.remove_prefix(end);
  return word;
}

// In smaps also the lines between: those have no such range, and so start and end 0.
Mapping parse_mapping(std::string_view line) {
  Mapping out;
  std::string_view rest = line;
  const std::string_view range = next_word(rest);
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos) return out;
  std::from_chars(range.data(), range.data() + dash, out.start, 16);
  std::from_chars(range.data() + dash + 1, range.data() + range.size(), out.end, 16);
  out.is_private = next_word(rest).ends_with('p');
  next_word(rest);
  next_word(rest);
  out.of_a_file = next_word(rest) != "0";
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  out.path = rest;
  return out;
}

bool says_hugetlb(std::string_view flags) {
  while (!flags.empty()) {
    if (next_word(flags) == "ht") return true;
  }
  return false;
}

// By smaps, which is slow, for it counts pages.
bool has_private_hugetlb(pid_t pid) {
  std::ifstream smaps(fmt::format("/proc/{}/smaps", pid));
  bool is_private = false;
  for (std::string line; std::getline(smaps, line);) {
    const Mapping mapping = parse_mapping(line);
    if (mapping.end != 0) is_private = mapping.is_private;
    constexpr std::string_view flags = "VmFlags:";
    if (is_private && line.starts_with(flags) &&
        says_hugetlb(std::string_view(line).substr(flags.size()))) {
      return true;
    }
  }
  return false;
}

Error secret_memory_refused(pid_t pid) {
  return refused(
      fmt::format("Process {} has memory of memfd_secret, which nothing but itself can read; have "
                  "it let go of that, or dump it without the process.",
                  pid));
}

Status check_memory(pid_t pid) {
  errno = 0;
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  if (!maps.is_open()) {
    if (is_gone(errno)) return {};
    return unreadable(pid, errno);
  }
  bool may_have_hugetlb = false;
  for (std::string line; std::getline(maps, line);) {
    const Mapping mapping = parse_mapping(line);
    if (mapping.path == secret_memory) return secret_memory_refused(pid);
    may_have_hugetlb = may_have_hugetlb || mapping.may_be_private_hugetlb();
  }
  if (!may_have_hugetlb || !has_private_hugetlb(pid)) return {};
  return refused(
      fmt::format("Process {} has private memory of hugetlb pages, which cannot be restored from a "
                  "stream; start it without them, or with shared ones.",
                  pid));
}

Status check_descriptors(pid_t pid) {
  std::error_code code;
  for (fs::directory_iterator fd(fmt::format("/proc/{}/fd", pid), code), end; !code && fd != end;
       fd.increment(code)) {
    std::error_code gone;
    if (fs::read_symlink(fd->path(), gone).native() == secret_memory) {
      return secret_memory_refused(pid);
    }
  }
  if (!code || is_gone(code.value())) return {};
  return unreadable(pid, code.value());
}

// What /proc/PID/status says of a process, and what CRIU does not say plainly.
struct Standing {
  pid_t process = 0;  // of which it is a thread, or itself
  pid_t tracer = 0;
  char state = 0;
  bool has_memory = false;  // neither a zombie nor a thread of the kernel has
};

Standing standing_of(pid_t pid) {
  Standing out;
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string name; status >> name; std::getline(status, name)) {
    if (name == "Tgid:") status >> out.process;
    if (name == "TracerPid:") status >> out.tracer;
    if (name == "State:") status >> out.state;
    if (name == "VmSize:") out.has_memory = true;
  }
  return out;
}

// Of the one that was named.
Status check_root(pid_t pid) {
  const Standing found = standing_of(pid);
  if (found.process == 0) return {};
  if (found.process != pid) {
    return refused(
        fmt::format("{} is a thread of process {}; name that with -t.", pid, found.process));
  }
  if (found.state == 'Z' || found.state == 'X') {
    return refused(
        fmt::format("Process {} has ended, and only waits for its parent to see that; name one "
                    "that runs with -t.",
                    pid));
  }
  if (found.has_memory) return {};
  return refused(
      fmt::format("Process {} is a thread of the kernel; name a process of a user with -t.", pid));
}

Status check_free(pid_t pid) {
  if (pid == getpid()) {
    return refused(
        "ckpt-seal cannot dump itself or what it was started by; run it from elsewhere.");
  }
  const pid_t tracer = standing_of(pid).tracer;
  if (tracer == 0) return {};
  return refused(fmt::format(
      "Process {} is traced by process {}, a debugger or another dump, and only one can "
      "trace it; end that, and try again.",
      pid, tracer));
}

// Namespaces are files; `seen` has those that were looked at, ckpt-seal's own among them.
Status check_network(pid_t pid, std::set<ino_t>& seen) {
  const std::string path = fmt::format("/proc/{}/ns/net", pid);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info = {};
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    if (is_gone(errno)) return {};
    return unreadable(pid, errno);
  }
  if (!seen.insert(info.st_ino).second) return {};
  CKPTSEAL_ASSIGN(const std::optional<std::string> table, find_nftables_table(fd.get()));
  if (!table) return {};
  return refused(
      fmt::format("Process {0} is in a network namespace with nftables rules (table {1}), which a "
                  "dump loses without a word; save and flush them (nsenter -t {0} -n nft ...), and "
                  "load them again after the restore.",
                  pid, *table));
}

}  // namespace

Status refuse_what_a_stream_cannot_carry(pid_t root) {
  struct stat own = {};
  if (stat("/proc/self/ns/net", &own) != 0) return system_error("Cannot read /proc", errno);
  std::set<ino_t> seen = {own.st_ino};
  CKPTSEAL_TRY(check_root(root));
  for (const pid_t pid : tree_of(root)) {
    CKPTSEAL_TRY(check_free(pid));
    CKPTSEAL_TRY(check_memory(pid));
    CKPTSEAL_TRY(check_descriptors(pid));
    CKPTSEAL_TRY(check_network(pid, seen));
  }
  return {};
}

}  // namespace ckptseal
