// SPDX-License-Identifier: Apache-2.0
#include "base/utc_time.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <ctime>

namespace ckptseal {

namespace {

constexpr std::uint64_t last_with_four_digits = 253402300799;  // 9999-12-31T23:59:59Z

}  // namespace

// A time in a file is what its writer liked: none wraps, and none is shown as another one.
std::string utc_time(std::uint64_t seconds) {
  if (seconds > last_with_four_digits) {
    return fmt::format("the year 10000 or later ({} s after 1970)", seconds);
  }
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts = {};
  gmtime_r(&time, &parts);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", parts);
}

std::optional<std::uint64_t> parse_utc_time(std::string_view text) {
  constexpr std::string_view form = "0000-00-00T00:00:00Z";
  if (text.size() != form.size()) return std::nullopt;
  const auto number = [text](std::size_t at, std::size_t digits) {
    int out = -1;
    std::from_chars(text.data() + at, text.data() + at + digits, out);
    return out;
  };
  std::tm parts = {};
  parts.tm_year = number(0, 4) - 1900;
  parts.tm_mon = number(5, 2) - 1;
  parts.tm_mday = number(8, 2);
  parts.tm_hour = number(11, 2);
  parts.tm_min = number(14, 2);
  parts.tm_sec = number(17, 2);
  const std::time_t time = timegm(&parts);
  if (time < 0) return std::nullopt;
  // A 30th of February is another day by now, and what is no digit has become one.
  const auto seconds = static_cast<std::uint64_t>(time);
  return utc_time(seconds) == text ? std::optional<std::uint64_t>(seconds) : std::nullopt;
}

}  // namespace ckptseal
