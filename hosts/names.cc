// SPDX-License-Identifier: Apache-2.0
//
// The character classes, written out: std::regex would be larger and slower than they are.
#include "hosts/names.h"

#include <fmt/format.h>

#include <algorithm>

namespace ckptseal {
namespace {

constexpr std::size_t longest_name = 63;
constexpr std::size_t longest_value = 128;

bool letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool has_form(std::string_view text, std::string_view inner) {
  if (text.empty() || text.size() > longest_name) return false;
  if (!letter_or_digit(text.front()) || !letter_or_digit(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return letter_or_digit(c) || inner.find(c) != std::string_view::npos;
  });
}

Error usage(std::string message) { return {Code::usage, std::move(message), 0}; }

// What goes into a message must not move the cursor or hide text.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, longest_name));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

}  // namespace

Status check_host_name(std::string_view name) {
  if (!has_form(name, ".-")) {
    return usage(
        fmt::format("\"{}\" cannot be the name of a host: use 1 to 63 of a-z, 0-9, '.' and "
                    "'-', with a letter or digit at both ends.",
                    shown(name)));
  }
  if (name == "self" || name == "all" || name == "passphrase" || name == "recovery" ||
      name.ends_with(".record")) {
    return usage(
        fmt::format("\"{}\" cannot be the name of a host, for as a recipient it means "
                    "something else; choose another.",
                    name));
  }
  return {};
}

Status check_labels(const Labels& labels) {
  if (labels.size() > most_labels) {
    return usage(fmt::format("A host has at most {} labels, not {}; leave some out.", most_labels,
                             labels.size()));
  }
  for (const auto& [key, value] : labels) {
    if (!has_form(key, ".-_/")) {
      return usage(
          fmt::format("\"{}\" cannot be the key of a label: use 1 to 63 of a-z, 0-9, '.', "
                      "'-', '_' and '/', with a letter or digit at both ends.",
                      shown(key)));
    }
    const bool printable =
        std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
    if (value.size() > longest_value || !printable) {
      return usage(
          fmt::format("The value of the label {} cannot be kept: use at most {} printable "
                      "ASCII characters.",
                      key, longest_value));
    }
  }
  return {};
}

}  // namespace ckptseal
