// SPDX-License-Identifier: Apache-2.0
//
// An index and logs that are named by their digests, written in place: half of one is none.
#include "cli/opening/opened.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/crypto.h"
#include "base/file_lock.h"
#include "base/private_files.h"

namespace ckptseal {
namespace {

constexpr std::size_t largest_log = std::size_t{1} << 20;
constexpr unsigned last_of_firmware = 7;
constexpr const char* index_name = "index";
constexpr int safely = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

// Empty when it cannot be read, is longer or no regular file.
Bytes read_whole(int folder, const std::string& name, std::size_t limit) {
  const UniqueFd fd(openat(folder, name.c_str(), O_RDONLY | safely));
  struct stat info = {};
  if (!fd.valid() || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  Bytes content(limit + 1);  // a file of the kernel does not say how long it is
  const Result<std::size_t> size = read_full(fd.get(), content);
  if (!size.ok() || size.value() > limit) return {};
  content.resize(size.value());
  return content;
}

bool write_whole(int fd, ByteView content) {
  return pwrite_full(fd, content, 0).ok() && ftruncate(fd, static_cast<off_t>(content.size())) == 0;
}

std::optional<EventLog> parse_log(const Bytes& content) {
  if (content.empty()) return std::nullopt;
  Result<EventLog> log = EventLog::parse(content);
  if (!log.ok()) return std::nullopt;
  return std::move(log).value();
}

// Else it is the log of another boot or TPM: all that is known of this one are these values. Above
// PCR 7 the running system may have gone on.
bool fits(const EventLog& log, const PcrState& pcrs) {
  const PcrBank start = log.start_values();
  const PcrBank replayed = log.replay();
  bool told = false;
  for (const auto& [pcr, value] : pcrs.pcrs) {
    const bool as_replayed = replayed.at(pcr) == value;
    if (!as_replayed && pcr <= last_of_firmware) return false;
    told |= as_replayed && start.at(pcr) != value;
  }
  return told;
}

// Its digest, once it is there whole.
std::optional<Digest> keep_log(int folder, const std::string& path, const PcrState& pcrs) {
  const Bytes content = read_whole(AT_FDCWD, path, largest_log);
  const std::optional<EventLog> log = parse_log(content);
  if (!log || !fits(*log, pcrs)) return std::nullopt;
  const Digest digest = Sha256::of(content);
  const std::string name = to_hex(digest);
  if (read_whole(folder, name, largest_log) == content) return digest;
  const UniqueFd fd(openat(folder, name.c_str(), O_WRONLY | O_CREAT | safely, 0600));
  if (!fd.valid() || !write_whole(fd.get(), content)) return std::nullopt;
  return digest;
}

void remove_others(int folder, const std::string& path, const std::vector<Digest>& logs) {
  const Result<std::vector<std::string>> names = list_folder(path, path);
  if (!names.ok()) return;
  for (const std::string& name : names.value()) {
    const bool wanted = name == index_name ||
                        std::any_of(logs.begin(), logs.end(),
                                    [&name](const Digest& log) { return to_hex(log) == name; });
    if (!wanted) (void)unlinkat(folder, name.c_str(), 0);
  }
}

}  // namespace

void remember_opening(const State& state, const CheckpointId& id, OpenedState opened,
                      const std::string& event_log) {
  const std::string path = state.opened_folder();
  const Result<UniqueFd> folder = make_private_folder(path, Guard::no_access, path);
  if (!folder.ok()) return;
  const int at = folder.value().get();
  const UniqueFd index(openat(at, index_name, O_RDWR | O_CREAT | safely, 0600));
  if (!index.valid()) return;
  const Result<bool> locked = lock_file(index.get(), std::chrono::milliseconds(0), path);
  if (!locked.ok() || !locked.value()) return;
  OpenedStates states(read_whole(at, index_name, OpenedStates::largest_file));
  const std::vector<Digest> logs = states.logs();
  opened.log = keep_log(at, event_log, opened.pcrs);
  states.remember(id, opened);
  (void)write_whole(index.get(), states.serialize());
  if (states.logs() != logs) remove_others(at, path, states.logs());
}

std::optional<LastOpening> last_opening(const State& state, const CheckpointId& id) {
  const std::string path = state.opened_folder();
  const Result<UniqueFd> folder = open_private_folder(path, Guard::no_access, path);
  if (!folder.ok()) return std::nullopt;
  const int at = folder.value().get();
  const OpenedStates states(read_whole(at, index_name, OpenedStates::largest_file));
  std::optional<OpenedState> found = states.find(id);
  if (!found) return std::nullopt;
  LastOpening out{*std::move(found), std::nullopt};
  if (!out.state.log) return out;
  const Bytes content = read_whole(at, to_hex(*out.state.log), largest_log);
  if (Sha256::of(content) == *out.state.log) out.log = parse_log(content);
  return out;
}

}  // namespace ckptseal
