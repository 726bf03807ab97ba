// SPDX-License-Identifier: Apache-2.0
//
// One chunk of one image: encrypted or decrypted in place, with its tag and digest. It keeps no
// state between chunks, so chunks can be worked on in any order and by several threads at once.
// docs/format.md, "Chunks".
#pragma once

#include <memory>

#include "sealing/file_keys.h"

namespace ckptseal {

// docs/format.md, "Manifest": a chunk entry. `digest` is all zero in exclusive suites.
struct ChunkEntry {
  static constexpr std::uint64_t offset_of_zeros = 1;  // no place in the file

  std::uint64_t offset = 0;
  Tag tag{};
  Digest digest{};

  // docs/format.md, "Chunks": all bytes are zero, and nothing of it is stored.
  static ChunkEntry zeros() { return {offset_of_zeros, {}, {}}; }
  bool is_zeros() const { return offset == offset_of_zeros; }
};

// An image of `length` bytes has full chunks and one last one, which may be empty.
constexpr std::uint64_t chunk_count(std::uint64_t length, std::size_t chunk_size) {
  return length / chunk_size + 1;
}

// SHA-256 over the SHA-256 of each leaf.
Digest chunk_digest(ByteView ciphertext);

class ImageCipher {
 public:
  static Result<ImageCipher> make(const FileKeys& keys, Suite suite, std::uint32_t image_number);
  ImageCipher(ImageCipher&&) noexcept;
  ImageCipher& operator=(ImageCipher&&) noexcept;
  ~ImageCipher();

  // Plaintext to ciphertext, in place; tag and digest into `entry`.
  Status encrypt(std::uint64_t index, bool last, MutableByteView data, ChunkEntry& entry);
  // Ciphertext to plaintext, in place, after both digest and tag were found right. Code::integrity
  // if one is not; `data` is then no plaintext.
  Status decrypt(std::uint64_t index, bool last, MutableByteView data, const ChunkEntry& entry);

 private:
  class Ciphers;
  ImageCipher(std::unique_ptr<Ciphers> ciphers, Suite suite);

  std::unique_ptr<Ciphers> ciphers_;
  Suite suite_;
};

}  // namespace ckptseal
