// SPDX-License-Identifier: Apache-2.0
#include "base/utc_time.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ckptseal {
namespace {

TEST(UtcTime, IsReadAsItIsWritten) {
  for (const std::uint64_t seconds :
       std::vector<std::uint64_t>{0, 1, 951782400, 1767225600, 4102444799, 253402300799}) {
    EXPECT_EQ(parse_utc_time(utc_time(seconds)), seconds);
  }
  EXPECT_EQ(utc_time(951782400), "2000-02-29T00:00:00Z");
  EXPECT_EQ(parse_utc_time("2027-01-31T12:34:56Z"), 1801398896U);
}

// docs/json.md. A time of 2^63 s or more was shown as one before 1970.
TEST(UtcTime, IsNoOtherOneBehindTheYear9999) {
  EXPECT_EQ(utc_time(253402300799), "9999-12-31T23:59:59Z");
  for (const std::uint64_t seconds : std::vector<std::uint64_t>{
           253402300800, 67767976233532800, 9223372036854775807U, 9223372036854775808U,
           18446744073709551614U, 18446744073709551615U}) {
    EXPECT_EQ(utc_time(seconds),
              "the year 10000 or later (" + std::to_string(seconds) + " s after 1970)");
    EXPECT_FALSE(parse_utc_time(utc_time(seconds)));
  }
}

TEST(UtcTime, HasOneForm) {
  for (const char* text : {"", "2027-01-31", "2027-01-31T12:34:56", "2027-01-31 12:34:56Z",
                           "2027-01-31T12:34:56z", "2027-02-30T12:34:56Z", "2027-13-01T12:34:56Z",
                           "2027-00-01T12:34:56Z", "2027-01-31T24:00:00Z", "2027-01-31T12:60:00Z",
                           "2027-01-31T12:34:60Z", "1969-12-31T23:59:59Z", "-027-01-31T12:34:56Z",
                           "2027-1 -31T12:34:56Z", "2027-01-31T12:34:56+", "2027-01-31T12:34:56ZZ",
                           "+027-01-31T12:34:56Z", "2027-01-31T-1:34:56Z"}) {
    EXPECT_FALSE(parse_utc_time(text)) << text;
  }
}

}  // namespace
}  // namespace ckptseal
