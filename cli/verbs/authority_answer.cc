// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal authority answer`: answers a request for online approval, if its limits are not
// reached. In this order: refuse, write the use down, sync, sign (docs/policies.md, "Online
// approval"), so that a crash costs a use and never gives one.
#include "cli/verbs/authority_answer.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include "base/fd.h"
#include "base/file_lock.h"
#include "base/output_file.h"
#include "base/step.h"
#include "base/utc_time.h"
#include "cli/host_access.h"
#include "cli/verbs/authority_key_options.h"
#include "policies/online_approval.h"
#include "policies/use_record.h"

namespace ckptseal {
namespace {

constexpr std::chrono::seconds patience_for_others(10);

struct AnswerOptions {
  AuthorityKeyOptions key;
  std::string request = "-";
  std::string uses;
  unsigned expires_in = 300;
  std::string output = "-";
  bool force = false;
  bool dry_run = false;
};

std::string name_of(const std::string& path) { return fmt::format("The record of uses {}", path); }

// The record under its lock. Whoever counts puts another file in its place, so the file that was
// waited for may be none by then.
class LockedRecord {
 public:
  static Result<LockedRecord> open(const std::string& path) {
    const std::string what = fmt::format("the record of uses {}", path);
    const auto deadline = std::chrono::steady_clock::now() + patience_for_others;
    for (;;) {
      CKPTSEAL_ASSIGN(UniqueFd fd, open_record(path, what));
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      CKPTSEAL_ASSIGN(const bool locked,
                      lock_file(fd.get(), std::max(left, std::chrono::milliseconds(0)), what));
      if (!locked) {
        return Error{Code::unavailable,
                     fmt::format("{} is in use by another ckpt-seal: try again.", name_of(path)),
                     0};
      }
      struct stat ours = {};
      struct stat named = {};
      if (fstat(fd.get(), &ours) != 0) return system_error("Cannot read " + what, errno);
      const bool current = stat(path.c_str(), &named) == 0 && ours.st_dev == named.st_dev &&
                           ours.st_ino == named.st_ino;
      if (current) return read(path, std::move(fd), what);
    }
  }

  // Which use of the checkpoint this is, from 1. Once it returns that, the use is written down.
  Result<std::uint32_t> count(const Checkpoint& checkpoint, bool dry_run) {
    const UseKey key = use_key(checkpoint.origin, checkpoint.id);
    const Status counted = record_.count(key, checkpoint.limits.restores, 0);
    if (!counted.ok()) {
      return Error{counted.error().code,
                   fmt::format("The checkpoint {} is refused: {}.", to_hex(checkpoint.id),
                               counted.error().message),
                   0};
    }
    if (!dry_run) {
      CKPTSEAL_TRY(write_file(path_, record_.serialize(), 0600, OutputFile::Replace::allowed));
    }
    return record_.uses_of(key);
  }

 private:
  LockedRecord(std::string path, UniqueFd fd, UseRecord record)
      : path_(std::move(path)), fd_(std::move(fd)), record_(std::move(record)) {}

  static Result<UniqueFd> open_record(const std::string& path, const std::string& what) {
    Result<UniqueFd> fd = open_file(path, O_RDONLY | O_NONBLOCK, what);
    if (fd.ok() || fd.error().cause != ENOENT) return fd;
    return Error{Code::usage,
                 fmt::format("{} is not there: nobody knows how often was answered, so bring it "
                             "back, or make an empty one with 'ckpt-seal authority init --uses'.",
                             name_of(path)),
                 ENOENT};
  }

  static Result<LockedRecord> read(const std::string& path, UniqueFd fd, const std::string& what) {
    struct stat info = {};
    if (fstat(fd.get(), &info) != 0) return system_error("Cannot read " + what, errno);
    const bool possible = S_ISREG(info.st_mode) && info.st_size >= 0 &&
                          static_cast<std::uint64_t>(info.st_size) <= UseRecord::largest_size;
    Bytes content(possible ? static_cast<std::size_t>(info.st_size) : 0);
    CKPTSEAL_ASSIGN(const std::size_t size, pread_full(fd.get(), content, 0));
    content.resize(size);
    CKPTSEAL_ASSIGN(UseRecord record, UseRecord::parse(content, name_of(path)));
    if (record.bound_to_counter()) {
      return Error{Code::usage,
                   fmt::format("{} is a host's own: name the one that 'ckpt-seal authority init "
                               "--uses' made.",
                               name_of(path)),
                   0};
    }
    return LockedRecord(path, std::move(fd), std::move(record));
  }

  std::string path_;
  UniqueFd fd_;
  UseRecord record_;
};

Result<OnlineRequest> read_request(const std::string& path) {
  const std::string what = path == "-" ? "The request" : fmt::format("The request {}", path);
  UniqueFd file;
  if (path != "-") {
    CKPTSEAL_ASSIGN(file, open_file(path, O_RDONLY, fmt::format("the request {}", path)));
  }
  Bytes content(largest_online_message + 1);  // one more: it is then refused for its length
  CKPTSEAL_ASSIGN(const std::size_t size,
                  read_full(file.valid() ? file.get() : STDIN_FILENO, content));
  return OnlineRequest::parse(ByteView(content).first(size), what);
}

// What can be refused before anybody is asked for a PIN.
Status check_request(const OnlineRequest& request, const AnswerOptions& options) {
  const UseLimits& limits = request.checkpoint.limits;
  if (limits.not_after != 0 && now_seconds() >= limits.not_after) {
    return Error{Code::revoked,
                 fmt::format("The checkpoint {} is refused: it was to be used before {}.",
                             to_hex(request.checkpoint.id), utc_time(limits.not_after)),
                 0};
  }
  if (limits.restores == 0 || !options.uses.empty()) return {};
  return Error{Code::usage,
               fmt::format("The checkpoint {} may be used {} times, and there is nothing to count "
                           "in: name the record of uses with --uses.",
                           to_hex(request.checkpoint.id), limits.restores),
               0};
}

Result<Outcome> answer(const AnswerOptions& options) {
  CKPTSEAL_ASSIGN(const OnlineRequest request, read_request(options.request));
  CKPTSEAL_TRY(check_request(request, options));
  CKPTSEAL_ASSIGN(AuthorityKey key, open_authority_key(options.key));
  if (key.point() != request.key) {
    return Error{Code::untrusted,
                 "The request is for another authority's key: name that key with --key, or send "
                 "the request to whom it belongs.",
                 0};
  }
  const UseLimits& limits = request.checkpoint.limits;
  std::uint32_t use = 0;
  if (limits.restores != 0) {
    CKPTSEAL_ASSIGN(LockedRecord record, LockedRecord::open(options.uses));
    reached("answer: the record is locked");
    CKPTSEAL_ASSIGN(use, record.count(request.checkpoint, options.dry_run));
  }
  reached("answer: the use is counted");
  Outcome outcome;
  outcome.json = {
      {"checkpoint_id", to_hex(request.checkpoint.id)},
      {"origin",
       all_zero(request.checkpoint.origin) ? Json() : Json(to_hex(request.checkpoint.origin))},
      {"restores", limits.restores == 0 ? Json() : Json(limits.restores)},
      {"use", limits.restores == 0 ? Json() : Json(use)},
      {"not_after", limits.not_after == 0 ? Json() : Json(utc_time(limits.not_after))},
      {"who", request.who},
      {"expires_in", options.expires_in},
      {"dry_run", options.dry_run},
      {"output", options.output}};
  outcome.text =
      fmt::format("{} {} for the checkpoint {}{}.\n", options.dry_run ? "Would answer" : "Answered",
                  request.who.empty() ? "somebody" : fmt::format("\"{}\"", request.who),
                  to_hex(request.checkpoint.id),
                  use == 0 ? "" : fmt::format(", use {} of {}", use, limits.restores));
  if (options.dry_run) return outcome;
  CKPTSEAL_ASSIGN(const OnlineAnswer signed_answer,
                  OnlineAnswer::sign(request, options.expires_in,
                                     [&key](const Digest& digest) { return key.sign(digest); }));
  reached("answer: the answer is signed");
  CKPTSEAL_ASSIGN(const std::string pem, signed_answer.pem());
  if (options.output == "-") {
    outcome.json["pem"] = pem;
    outcome.text = pem;
    return outcome;
  }
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_TRY(write_file(options.output, as_bytes(pem), 0644, replace));
  return outcome;
}

}  // namespace

Result<bool> make_answer_record(const std::string& path) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0) {
    CKPTSEAL_TRY(LockedRecord::open(path));
    return false;
  }
  CKPTSEAL_TRY(write_file(path, UseRecord().serialize(), 0600, OutputFile::Replace::never));
  return true;
}

void add_authority_answer_verb(const Verb& authority) {
  auto options = std::make_shared<AnswerOptions>();
  const Verb verb = authority.verb(
      "answer", "Answer a request for online approval, and count the uses of a limited checkpoint",
      "ckpt-seal open --approver 'ssh authority ckpt-seal authority answer --key URI --uses "
      "/var/lib/answers/uses' x.cks");
  add_authority_key_options(verb, options->key);
  verb.option("REQUEST", options->request, "Request (PEM), - for standard input").shows_default();
  verb.option("--uses", options->uses,
              "Record of uses, made by 'authority init --uses': wanted where a checkpoint may be "
              "used a number of times")
      .value_name("FILE");
  verb.option("--expires-in", options->expires_in,
              "The answer holds for so long since the request was made")
      .value_name("SECONDS")
      .shows_default()
      .between(1, OnlineAnswer::longest_expiration);
  verb.option("-o,--output", options->output, "Answer (PEM), - for standard output")
      .value_name("FILE")
      .shows_default();
  verb.flag("--force", options->force, "Replace FILE if it exists");
  verb.flag("--dry-run", options->dry_run, "Say what would be answered; count and sign nothing");
  verb.does([options](const Globals&, Console&) { return answer(*options); });
}

}  // namespace ckptseal
