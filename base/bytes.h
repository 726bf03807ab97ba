// SPDX-License-Identifier: Apache-2.0
//
// Byte strings, and the one reader and writer of the big-endian encodings of docs/format.md. The
// reader never reads past its end: after the first shortage every answer is zero or empty and ok()
// is false, so a parser checks once, before it believes anything.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ckptseal {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;
template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;
using Digest = ByteArray<32>;  // SHA-256

ByteView as_bytes(std::string_view text);
std::string_view as_text(ByteView bytes);
std::string to_hex(ByteView bytes);  // lower case
std::optional<Bytes> from_hex(std::string_view text);
bool all_zero(ByteView bytes);
// Not for secrets: see equal_constant_time() in base/crypto.h.
bool same_bytes(ByteView a, ByteView b);

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  ByteView view(std::size_t length);  // into the reader's bytes
  template <std::size_t N>
  ByteArray<N> array() {
    ByteArray<N> out{};
    ByteView in = view(N);
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i];
    return out;
  }

  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }
  std::size_t remaining() const { return rest_.size(); }
  ByteView rest() const { return rest_; }

 private:
  std::uint64_t number(std::size_t width);

  ByteView rest_;
  bool ok_ = true;
};

class ByteWriter {
 public:
  ByteWriter& u8(std::uint8_t value) { return number(value, 1); }
  ByteWriter& u16(std::uint16_t value) { return number(value, 2); }
  ByteWriter& u32(std::uint32_t value) { return number(value, 4); }
  ByteWriter& u64(std::uint64_t value) { return number(value, 8); }
  ByteWriter& bytes(ByteView value);
  ByteWriter& zeros(std::size_t count);

  std::size_t size() const { return out_.size(); }
  ByteView view() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  ByteWriter& number(std::uint64_t value, std::size_t width);

  Bytes out_;
};

}  // namespace ckptseal
