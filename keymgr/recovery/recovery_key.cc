// SPDX-License-Identifier: Apache-2.0
//
// Recovery keys on paper. Digits and the numbers made of them stay in Secrets, never in strings.
#include "keymgr/recovery/recovery_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/crypto.h"

namespace ckptseal {
namespace {

constexpr std::size_t group_count = 8;
constexpr std::size_t group_digits = 6;
constexpr std::size_t digit_count = group_count * group_digits;
constexpr std::size_t text_size = digit_count + group_count - 1;
constexpr std::uint32_t check_divisor = 11;
constexpr std::uint32_t largest_part = 0xffff;

bool is_separator(std::uint8_t c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '-';
}

void write_group(std::uint32_t value, MutableByteView out) {
  for (std::size_t i = group_digits; i-- > 0; value /= 10) {
    out[i] = static_cast<std::uint8_t>('0' + value % 10);
  }
}

std::uint32_t read_group(ByteView digits, std::size_t group) {
  std::uint32_t value = 0;
  for (const std::uint8_t digit : digits.subspan(group * group_digits, group_digits)) {
    value = value * 10 + (digit - std::uint32_t{'0'});
  }
  return value;
}

// `place` counts from 1, as people do.
bool fits_place(std::uint32_t value, std::size_t place) {
  return value % check_divisor == place && value / check_divisor <= largest_part;
}

// The place of the first group that is not sound; digits of a group that is cut are not.
std::optional<std::size_t> first_wrong_place(ByteView digits) {
  for (std::size_t g = 0; g < group_count; ++g) {
    const bool whole = digits.size() >= (g + 1) * group_digits;
    if (!whole || !fits_place(read_group(digits, g), g + 1)) return g + 1;
  }
  return std::nullopt;
}

// The place whose group stands at `place`, if the group of `place` stands there in exchange.
std::optional<std::size_t> exchanged_with(ByteView digits, std::size_t place) {
  const std::uint32_t value = read_group(digits, place - 1);
  for (std::size_t other = place + 1; other <= group_count; ++other) {
    if (fits_place(value, other) && fits_place(read_group(digits, other - 1), place)) return other;
  }
  return std::nullopt;
}

Error usage(std::string message) { return Error{Code::usage, std::move(message), 0}; }

Error no_digit(std::size_t digits_before) {
  if (digits_before >= digit_count) {
    return usage(
        "Behind group 8 of the recovery key stands something that is no digit: it has 8 groups of "
        "6 "
        "digits, so leave out what follows them.");
  }
  return usage(
      fmt::format("In or before group {} of the recovery key stands something that is no "
                  "digit: compare that group with the paper and type the key again.",
                  digits_before / group_digits + 1));
}

Error wrong_count(ByteView digits, std::size_t count) {
  const std::optional<std::size_t> place = first_wrong_place(digits);
  if (!place) {
    return usage(
        fmt::format("The recovery key has {} digits instead of 48, and those behind group "
                    "8 are too many: leave them out.",
                    count));
  }
  return usage(
      fmt::format("The recovery key has {} digits instead of 48, and group {} is the first "
                  "that is missing or wrong: compare from that group on with the paper and "
                  "type the key again.",
                  count, *place));
}

Error wrong_group(ByteView digits, std::size_t place) {
  if (const auto other = exchanged_with(digits, place)) {
    return usage(
        fmt::format("Groups {} and {} of the recovery key seem to be exchanged: compare "
                    "both with the paper and type the key again.",
                    place, *other));
  }
  return usage(
      fmt::format("Group {} of the recovery key is wrong: compare its digits with the "
                  "paper and type the key again.",
                  place));
}

// The 48 digits without what stands between them.
Result<Secret> digits_of(ByteView text) {
  CKPTSEAL_ASSIGN(Secret digits, Secret::make(digit_count));
  std::size_t count = 0;
  for (const std::uint8_t c : text) {
    if (is_separator(c)) continue;
    if (c < '0' || c > '9') return no_digit(count);
    if (count < digit_count) digits.mutable_view()[count] = c;
    ++count;
  }
  if (count != digit_count) {
    return wrong_count(digits.view().first(std::min(count, digit_count)), count);
  }
  return digits;
}

}  // namespace

Result<RecoveryKey> RecoveryKey::generate() {
  CKPTSEAL_ASSIGN(const RecoveryId id, random_array<RecoveryId{}.size()>());
  CKPTSEAL_ASSIGN(Secret key, random_secret(recovery_key_size));
  return RecoveryKey{id, std::move(key)};
}

Result<Secret> recovery_text(const Secret& key) {
  if (key.size() != recovery_key_size) {
    return Error{Code::failed, "A recovery key has 16 bytes: report this bug.", 0};
  }
  CKPTSEAL_ASSIGN(Secret text, Secret::make(text_size));
  const MutableByteView out = text.mutable_view();
  ByteReader parts(key.view());
  for (std::uint32_t g = 0; g < group_count; ++g) {
    const std::size_t at = g * (group_digits + 1);
    if (g > 0) out[at - 1] = '-';
    write_group(check_divisor * parts.u16() + g + 1, out.subspan(at, group_digits));
  }
  return text;
}

Result<Secret> parse_recovery_text(ByteView text) {
  CKPTSEAL_ASSIGN(const Secret digits, digits_of(text));
  if (const auto place = first_wrong_place(digits.view())) {
    return wrong_group(digits.view(), *place);
  }
  CKPTSEAL_ASSIGN(Secret key, Secret::make(recovery_key_size));
  const MutableByteView out = key.mutable_view();
  for (std::size_t g = 0; g < group_count; ++g) {
    const std::uint32_t part = read_group(digits.view(), g) / check_divisor;
    out[2 * g] = static_cast<std::uint8_t>(part >> 8);
    out[2 * g + 1] = static_cast<std::uint8_t>(part & 0xff);
  }
  return key;
}

}  // namespace ckptseal
