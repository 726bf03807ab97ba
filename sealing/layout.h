// SPDX-License-Identifier: Apache-2.0
//
// The numbers and words of docs/format.md that every part of sealing/ shares.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/crypto.h"

namespace ckptseal {

inline constexpr std::uint16_t format_version = 1;
inline constexpr std::uint64_t block_size = 4096;  // preamble, trailer, alignment of chunks
inline constexpr unsigned smallest_header_log2 = 12;
inline constexpr unsigned largest_header_log2 = 22;
inline constexpr unsigned smallest_chunk_log2 = 16;
inline constexpr unsigned largest_chunk_log2 = 22;
inline constexpr unsigned standard_chunk_log2 = 19;
inline constexpr std::size_t leaf_size = 16384;
inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t page_plaintext_size = page_size - 16;
inline constexpr std::uint64_t largest_page_count = 1 << 20;
inline constexpr std::uint32_t largest_image_count = 131072;
inline constexpr std::uint64_t largest_image_length = std::uint64_t{1} << 62;
inline constexpr std::size_t largest_slot_count = 65535;
inline constexpr std::uint64_t largest_generation = (std::uint64_t{1} << 63) - 1;
inline constexpr unsigned largest_depth = 63;

// docs/format.md, "Suites"
enum class Suite : std::uint8_t {
  aes_256_gcm = 1,
  chacha20_poly1305 = 2,
  aes_256_gcm_exclusive = 3,
  chacha20_poly1305_exclusive = 4,
};
enum class Content : std::uint8_t { criu = 1, stream = 2, tree = 3 };

constexpr bool is_exclusive(Suite suite) { return suite >= Suite::aes_256_gcm_exclusive; }
constexpr Cipher cipher_of(Suite suite) {
  return suite == Suite::aes_256_gcm || suite == Suite::aes_256_gcm_exclusive
             ? Cipher::aes_256_gcm
             : Cipher::chacha20_poly1305;
}
constexpr std::size_t chunk_entry_size(Suite suite) { return is_exclusive(suite) ? 24 : 56; }
constexpr std::string_view suite_word(Suite suite) {
  return cipher_of(suite) == Cipher::aes_256_gcm ? "aes-256-gcm" : "chacha20-poly1305";
}
constexpr std::string_view content_word(Content content) {
  switch (content) {
    case Content::criu:
      return "criu";
    case Content::stream:
      return "stream";
    case Content::tree:
      return "tree";
  }
  return "";
}

inline constexpr std::string_view stream_image_name = "stream";
inline constexpr std::string_view tree_image_name = "tree.tar";

constexpr std::uint64_t round_to_blocks(std::uint64_t size) {
  return (size + block_size - 1) / block_size * block_size;
}

// "Nonce" of chunks and pages: 000000 || u64 index || u8 last.
constexpr Nonce position_nonce(std::uint64_t index, bool last) {
  Nonce nonce{};
  for (unsigned i = 0; i < 8; ++i) {
    nonce[3 + i] = static_cast<std::uint8_t>(index >> (8 * (7 - i)));
  }
  nonce[11] = last ? 1 : 0;
  return nonce;
}

}  // namespace ckptseal
