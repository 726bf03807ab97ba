// SPDX-License-Identifier: Apache-2.0
//
// Text, JSON and the progress line.
#include "cli/console.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>

#include "base/bytes.h"
#include "cli/plain_text.h"

namespace ckptseal {
namespace {

bool print(std::FILE* file, const std::string& text) {
  const bool all = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fflush(file) == 0 && all;
}

// One line, whatever a file is called.
void say(const std::string& sentence) {
  print(stderr, fmt::format("ckpt-seal: {}\n", without_controls(sentence)));
}

std::string untold(int error, bool done) {
  const std::string why = system_error("Cannot write to stdout", error).message;
  return fmt::format("{}{}", done ? "It was done, but not reported: " : "", why);
}

}  // namespace

void Console::warn(const std::string& sentence) {
  // Of several files that a verb changes one may say what the other did.
  if (std::find(warnings_.begin(), warnings_.end(), sentence) != warnings_.end()) return;
  end_progress();
  warnings_.push_back(sentence);
  say("warning: " + sentence);
}

void Console::note(const std::string& sentence) {
  end_progress();
  say(sentence);
}

void Console::progress(std::uint64_t done, std::uint64_t total) {
  if (isatty(STDERR_FILENO) == 0) return;
  progress_shown_ = true;
  const std::string of = total == 0 ? ""
                                    : fmt::format(" of {}, {} %", human_size(total),
                                                  done * 100 / std::max<std::uint64_t>(total, 1));
  print(stderr, fmt::format("\r\033[K{}: {}{}", verb_, human_size(done), of));
}

void Console::end_progress() {
  if (progress_shown_) print(stderr, "\r\033[K");
  progress_shown_ = false;
}

int Console::finish(const Result<Outcome>& result, bool json) {
  end_progress();
  Json out = {{"schema_version", 1}, {"verb", verb_}, {"ok", result.ok()}};
  if (!result.ok()) {
    const Error& error = result.error();
    say(error.message);
    out["reason"] = reason_word(error.code);
    out["message"] = error.message;
  } else {
    out.update(result.value().json);
  }
  out["warnings"] = warnings_;
  // Names of files may be no UTF-8: replaced rather than refused.
  const std::string report = json ? out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                             : result.ok() ? result.value().text
                                           : std::string();
  const bool told = print(stdout, report);
  if (!told) say(untold(errno, result.ok()));
  if (!result.ok()) return static_cast<int>(result.error().code);
  const Outcome& outcome = result.value();
  const bool counts = told || outcome.stands || outcome.exit_code != 0;
  return counts ? outcome.exit_code : static_cast<int>(Code::failed);
}

std::string human_size(std::uint64_t bytes) {
  constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  unsigned unit = 0;
  while (value >= 1024 && unit < 6) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string hex_of(const std::string& bytes) { return to_hex(as_bytes(bytes)); }

}  // namespace ckptseal
