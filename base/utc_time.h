// SPDX-License-Identifier: Apache-2.0
//
// Points in time as people write them: RFC 3339 in UTC, to the second.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ckptseal {

// "2026-05-01T12:00:00Z", of seconds since 1970. RFC 3339 has no year behind 9999: then
// "the year 10000 or later (253402300800 s after 1970)", which stands in a sentence as a time does.
std::string utc_time(std::uint64_t seconds);
// Of exactly that form, from 1970 to 9999; else nullopt.
std::optional<std::uint64_t> parse_utc_time(std::string_view text);

}  // namespace ckptseal
