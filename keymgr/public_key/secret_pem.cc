// SPDX-License-Identifier: Apache-2.0
//
// Base64 by OpenSSL, from one secret into another. What was read is written again, to tell whether
// it was the one form.
#include "keymgr/public_key/secret_pem.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "base/crypto.h"
#include "keymgr/public_key/openssl_memory.h"

namespace ckptseal {
namespace {

constexpr std::string_view white_space = " \t\r\n";
constexpr std::size_t line_bytes = 48;  // in 64 characters

std::string first_line(const std::string& label) {
  return fmt::format("-----BEGIN {}-----\n", label);
}

std::string last_line(const std::string& label) { return fmt::format("-----END {}-----\n", label); }

}  // namespace

Result<std::optional<Secret>> decode_base64(std::string_view text) {
  if (text.empty()) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(Secret joined, Secret::make(text.size()));
  const auto stop =
      std::copy_if(text.begin(), text.end(), joined.mutable_view().begin(),
                   [](char c) { return white_space.find(c) == std::string_view::npos; });
  joined.shrink(static_cast<std::size_t>(stop - joined.mutable_view().begin()));
  const std::string_view digits = as_text(joined.view());
  const std::size_t data = std::min(digits.find('='), digits.size());
  const std::size_t padding = digits.size() - data;
  const bool padded =
      padding <= 2 && digits.substr(data) == std::string_view("==").substr(0, padding);
  if (digits.empty() || digits.size() % 4 != 0 || !padded) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(Secret out, Secret::make(digits.size() / 4 * 3));
  const int size = EVP_DecodeBlock(out.mutable_view().data(), joined.view().data(),
                                   static_cast<int>(joined.size()));
  wipe_stack_below();
  if (size != static_cast<int>(out.size())) return std::optional<Secret>();
  out.shrink(out.size() - padding);
  return std::optional<Secret>(std::move(out));
}

Result<Secret> secret_pem_encode(const std::string& label, const Secret& content) {
  const std::string first = first_line(label);
  const std::string last = last_line(label);
  const std::size_t digits = (content.size() + 2) / 3 * 4;
  const std::size_t lines = (content.size() + line_bytes - 1) / line_bytes;
  CKPTSEAL_ASSIGN(Secret out, Secret::make(first.size() + digits + lines + last.size()));
  auto at = std::copy(first.begin(), first.end(), out.mutable_view().begin());
  for (ByteView rest = content.view(); !rest.empty();) {
    const ByteView line = rest.first(std::min(line_bytes, rest.size()));
    // It writes a NUL behind them, where the line ends.
    at += EVP_EncodeBlock(&*at, line.data(), static_cast<int>(line.size()));
    *at++ = '\n';
    rest = rest.subspan(line.size());
  }
  std::copy(last.begin(), last.end(), at);
  wipe_stack_below();
  return out;
}

Result<std::optional<Secret>> secret_pem_decode(const std::string& label, const Secret& text) {
  const std::string first = first_line(label);
  const std::string last = last_line(label);
  const std::string_view whole = as_text(text.view());
  if (whole.size() <= first.size() + last.size() || !whole.starts_with(first) ||
      !whole.ends_with(last)) {
    return std::optional<Secret>();
  }
  CKPTSEAL_ASSIGN(
      std::optional<Secret> content,
      decode_base64(whole.substr(first.size(), whole.size() - first.size() - last.size())));
  if (!content || content->size() == 0) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(const Secret again, secret_pem_encode(label, *content));
  if (!equal_constant_time(again.view(), text.view())) return std::optional<Secret>();
  return content;
}

}  // namespace ckptseal
