// SPDX-License-Identifier: Apache-2.0
//
// How a function says that it failed. Everything that can fail returns Result<T>: a code that
// callers branch on (it is also the exit code of the command) and one sentence that a user can act
// on. Exceptions are for bugs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace ckptseal {

// The values are the exit codes of the command line; 0 is success.
enum class Code : std::uint8_t {
  failed = 1,       // anything without a code of its own
  usage = 2,        // the call is wrong
  policy = 3,       // wrong PCRs, PIN or passphrase
  untrusted = 4,    // origin not trusted, unsigned, or attestation refused
  integrity = 5,    // damaged, cut or altered
  revoked = 6,      // revoked, replayed or used up
  locked = 7,       // TPM or token locked
  unavailable = 8,  // backend not there or gone: try again
  no_slot = 9,      // no slot for this host or identity
};

// The word that stands for the code in JSON, for example "policy".
std::string_view reason_word(Code code);

struct Error {
  Code code = Code::failed;
  std::string message;      // one sentence: what, why, what to do; never a secret
  std::uint32_t cause = 0;  // the errno, TSS2_RC or GnuTLS code it came from, 0 if none
};

// An error of a failed system call: "MESSAGE: strerror(errno)." with errno as the cause. ENOSPC,
// EACCES and their like add what to do.
Error system_error(std::string_view message, int errno_value, Code code = Code::failed);

template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit from both, so that a function can return either a value or an error.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit, as above

  bool ok() const { return !error_.has_value(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace ckptseal

#define CKPTSEAL_CONCAT_INNER(a, b) a##b
#define CKPTSEAL_CONCAT(a, b) CKPTSEAL_CONCAT_INNER(a, b)

// CKPTSEAL_TRY(status_expression): returns its error from the enclosing function.
#define CKPTSEAL_TRY(expression)                                    \
  do {                                                              \
    if (auto ckptseal_status = (expression); !ckptseal_status.ok()) \
      return std::move(ckptseal_status).error();                    \
  } while (false)

// NOLINTBEGIN(bugprone-macro-parentheses): what is declared has no parentheses
// CKPTSEAL_ASSIGN(auto value, result_expression): the value, or returns the error.
#define CKPTSEAL_ASSIGN(declaration, expression) \
  CKPTSEAL_ASSIGN_INNER(CKPTSEAL_CONCAT(ckptseal_result_, __LINE__), declaration, expression)
#define CKPTSEAL_ASSIGN_INNER(result, declaration, expression) \
  auto result = (expression);                                  \
  if (!result.ok()) return std::move(result).error();          \
  declaration = std::move(result).value()
// NOLINTEND(bugprone-macro-parentheses)
