// SPDX-License-Identifier: Apache-2.0
//
// base/result.h: codes are exit codes, and every error is a sentence.
#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>

namespace ckptseal {
namespace {

Result<int> half_of(int number) {
  if (number % 2 != 0) return Error{Code::usage, "It is odd.", 7};
  return number / 2;
}

Status check_quarter(int number, int& out) {
  CKPTSEAL_ASSIGN(const int half, half_of(number));
  CKPTSEAL_ASSIGN(out, half_of(half));
  return {};
}

Status check_twice(int number) {
  int out = 0;
  CKPTSEAL_TRY(check_quarter(number, out));
  CKPTSEAL_TRY(check_quarter(number, out));
  return {};
}

TEST(ResultTest, MacrosPassValuesAndErrorsOn) {
  int out = 0;
  ASSERT_TRUE(check_quarter(12, out).ok());
  EXPECT_EQ(out, 3);
  const Status odd = check_quarter(6, out);
  ASSERT_FALSE(odd.ok());
  EXPECT_EQ(odd.error().code, Code::usage);
  EXPECT_EQ(odd.error().cause, 7U);
  EXPECT_TRUE(check_twice(8).ok());
  EXPECT_FALSE(check_twice(7).ok());
}

TEST(ResultTest, AValueCanBeMoveOnly) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  ASSERT_TRUE(result.ok());
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 5);
}

TEST(ResultTest, EveryCodeHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (int code = 1; code <= 9; ++code) words.insert(reason_word(static_cast<Code>(code)));
  EXPECT_EQ(words.size(), 9U);
  EXPECT_EQ(reason_word(Code::integrity), "integrity");
  EXPECT_EQ(static_cast<int>(Code::integrity), 5);
  EXPECT_EQ(static_cast<int>(Code::no_slot), 9);
}

// base/result.h: "MESSAGE: strerror(errno)."
TEST(ResultTest, ASystemErrorIsASentenceWithACauseAndARemedy) {
  const Error error = system_error("Cannot write x", ENOSPC);
  EXPECT_EQ(error.code, Code::failed);
  EXPECT_EQ(error.cause, static_cast<std::uint32_t>(ENOSPC));
  EXPECT_EQ(error.message,
            "Cannot write x: No space left on device; free some space and try again.");
  const Error plain = system_error("Cannot read x", EIO, Code::unavailable);
  EXPECT_EQ(plain.code, Code::unavailable);
  EXPECT_EQ(plain.message, "Cannot read x: Input/output error.");
}

}  // namespace
}  // namespace ckptseal
