// SPDX-License-Identifier: Apache-2.0
#include "cli/sealing/limit_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/utc_time.h"

namespace ckptseal {
namespace {

// "90d", "12h", "30m", in seconds.
std::optional<std::uint64_t> parse_span(std::string_view text) {
  constexpr std::uint32_t longest = 1'000'000;
  std::uint32_t count = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count == 0 || count > longest ||
      stop + 1 != text.data() + text.size()) {
    return std::nullopt;
  }
  switch (*stop) {
    case 'm':
      return count * std::uint64_t{60};
    case 'h':
      return count * std::uint64_t{3600};
    case 'd':
      return count * std::uint64_t{86400};
    default:
      return std::nullopt;
  }
}

}  // namespace

void add_limit_options(const Verb& verb, LimitOptions& options) {
  verb.option("--restores", options.restores,
              "Give the content out so many times at most, on each host")
      .value_name("N")
      .between(1, std::numeric_limits<std::uint32_t>::max());
  verb.option("--not-after", options.not_after,
              "Refuse it from then on: 2027-01-31T12:00:00Z, or 90d, 12h, 30m from now")
      .value_name("TIME");
}

Result<UseLimits> limits_of(const LimitOptions& options, std::uint64_t now) {
  UseLimits out;
  out.restores = options.restores;
  if (options.not_after.empty()) return out;
  if (const auto span = parse_span(options.not_after)) {
    out.not_after = now + *span;
    return out;
  }
  const auto time = parse_utc_time(options.not_after);
  if (!time) {
    return Error{Code::usage,
                 fmt::format("--not-after {} is no time: say 2027-01-31T12:00:00Z, or 90d, 12h or "
                             "30m from now.",
                             options.not_after),
                 0};
  }
  out.not_after = *time;
  if (out.not_after > now) return out;
  return Error{Code::usage,
               fmt::format("--not-after {} is over already: name a later time.", options.not_after),
               0};
}

Result<UseLimits> joined_limits(const UseLimits& of_options, const UseLimits& of_policy) {
  const bool twice = (of_options.restores != 0 && of_policy.restores != 0) ||
                     (of_options.not_after != 0 && of_policy.not_after != 0);
  if (twice) {
    return Error{Code::usage,
                 "The file of --policy has that limit already: leave out --restores or "
                 "--not-after, or take the limit out of the file.",
                 0};
  }
  return UseLimits{of_options.restores + of_policy.restores,
                   of_options.not_after + of_policy.not_after};
}

}  // namespace ckptseal
