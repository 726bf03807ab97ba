// SPDX-License-Identifier: Apache-2.0
//
// Makes a line, and appends it so that neither another command nor a full disk can break one.
#include "cli/journal.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>

#include "base/file_lock.h"
#include "base/private_files.h"
#include "base/utc_time.h"
#include "cli/host_access.h"
#include "cli/plain_text.h"
#include "provisioning/state.h"

namespace ckptseal {
namespace {

// Bytes of UTF-8, before they are escaped.
constexpr std::size_t longest_text = 1024;
constexpr std::size_t longest_removed = 255;
constexpr std::size_t most_recipients = 64;
constexpr std::size_t most_removed = 16;
constexpr std::chrono::seconds patience{10};

std::string described(const std::string& path) { return fmt::format("the journal {}", path); }

// Where a character of UTF-8 begins: not one of its further bytes.
bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

// Fit for a line, whatever file names and CRIU's log have brought into it.
std::string plain_text(const std::string& text, std::size_t longest = longest_text) {
  // The library's own replacement of what is no UTF-8.
  const std::string escaped = Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
  std::string out = without_controls(Json::parse(escaped).get<std::string>());
  if (out.size() <= longest) return out;
  std::size_t end = longest - 3;
  while (!begins_character(out[end])) --end;
  out.resize(end);
  return out + "...";
}

std::string absolute(const std::string& path) {
  std::error_code code;
  const std::filesystem::path whole = std::filesystem::absolute(path, code);
  return path == "-" || code ? path : whole.lexically_normal().string();
}

Json hex_or_null(const std::string& bytes) {
  return bytes.empty() ? Json() : Json(to_hex(as_bytes(bytes)));
}

template <typename T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json first_recipients(const Json& all) {
  Json out = Json::array();
  for (std::size_t i = 0; i < std::min(all.size(), most_recipients); ++i) out.push_back(all[i]);
  return out;
}

Json first_removed(const std::vector<std::string>& all) {
  Json out = Json::array();
  for (std::size_t i = 0; i < std::min(all.size(), most_removed); ++i) {
    out.push_back(plain_text(all[i], longest_removed));
  }
  return out;
}

int code_of(const JournalEntry& entry, const Error* error) {
  if (error == nullptr) return 0;
  return entry.ended_by != 0 ? 128 + entry.ended_by : static_cast<int>(error->code);
}

// docs/state.md, "journal": all members, in this order.
std::string line_of(const JournalEntry& entry, const Error* error) {
  Json line;
  line["time"] = utc_time(now_seconds());
  line["verb"] = entry.verb;
  line["code"] = code_of(entry, error);
  line["reason"] = error == nullptr ? "done" : reason_word(error->code);
  line["message"] = error == nullptr ? Json() : Json(plain_text(error->message));
  line["checkpoint_id"] = hex_or_null(entry.checkpoint_id);
  line["origin"] = hex_or_null(entry.origin);
  line["recipients"] = first_recipients(entry.recipients);
  line["recipient_count"] = entry.recipients.size();
  line["removed"] = first_removed(entry.removed);
  line["removed_count"] = entry.removed.size();
  line["opened_slot"] = value_or_null(entry.opened_slot);
  line["path"] = plain_text(absolute(entry.path));
  line["pid"] = value_or_null(entry.pid);
  line["uid"] = getuid();
  return line.dump(-1, ' ', true) + "\n";
}

// Locked, and still what the path names: logrotate may have moved it away meanwhile.
Result<UniqueFd> open_locked(const std::string& path) {
  for (int round = 0; round < 10; ++round) {
    CKPTSEAL_ASSIGN(UniqueFd fd, open_private_log(path, described(path)));
    CKPTSEAL_ASSIGN(const bool locked, lock_file(fd.get(), patience, described(path)));
    if (!locked) {
      return Error{Code::failed,
                   fmt::format("Another command keeps the lock of {}; look for a stopped "
                               "ckpt-seal.",
                               described(path)),
                   EWOULDBLOCK};
    }
    struct stat ours = {};
    struct stat named = {};
    if (fstat(fd.get(), &ours) == 0 && lstat(path.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
      return fd;
    }
  }
  return Error{Code::failed, fmt::format("{} changes all the time; let it be.", path), 0};
}

// After a crash in the middle of a line.
bool ends_within_a_line(int fd, off_t size) {
  char last = '\n';
  return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

Status append(const std::string& path, std::string line) {
  CKPTSEAL_ASSIGN(const UniqueFd fd, open_locked(path));
  struct stat before = {};
  if (fstat(fd.get(), &before) != 0) return system_error("Cannot look at the journal", errno);
  if (ends_within_a_line(fd.get(), before.st_size)) line.insert(line.begin(), '\n');
  const ssize_t written = write(fd.get(), line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    const int error = written < 0 ? errno : ENOSPC;
    // A file that may only be appended to (chattr +a) keeps the half, and the next line goes below.
    (void)!ftruncate(fd.get(), before.st_size);
    return system_error(fmt::format("Cannot write to {}", described(path)), error);
  }
  if (fsync(fd.get()) == 0) return {};
  return system_error(fmt::format("Cannot sync {}", described(path)), errno);
}

Result<UniqueFd> open_state_folder(const std::string& path) {
  return open_private_folder(path, Guard::no_access, fmt::format("the state folder {}", path));
}

}  // namespace

Result<Journal> Journal::open(const std::string& state_folder) {
  // Not State::check(): a folder that 'provision --remove' left has its journal still.
  const Result<UniqueFd> folder = open_state_folder(state_folder);
  if (!folder.ok()) {
    if (folder.error().cause == ENOENT) return Journal("");
    return folder.error();
  }
  std::string path = State(state_folder).journal_path();
  CKPTSEAL_TRY(open_private_log(path, described(path)));
  return Journal(std::move(path));
}

Status Journal::check(const std::string& state_folder) {
  CKPTSEAL_TRY(open_state_folder(state_folder));
  const std::string path = State(state_folder).journal_path();
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0) {
    CKPTSEAL_TRY(open_private_log(path, described(path)));
    return {};
  }
  if (access(state_folder.c_str(), W_OK) == 0) return {};
  return system_error(fmt::format("Cannot make {}", described(path)), errno);
}

void Journal::record(const JournalEntry& entry, const Error* error, Console& console) const {
  if (path_.empty()) {
    // What was refused then was refused for that.
    if (error == nullptr) {
      console.warn(
          "this host has no state folder, so no journal tells of this; run 'ckpt-seal "
          "provision'.");
    }
    return;
  }
  const Status written = append(path_, line_of(entry, error));
  if (written.ok()) return;
  console.warn(fmt::format("no line in the journal tells of this: {}", written.error().message));
}

}  // namespace ckptseal
