// SPDX-License-Identifier: Apache-2.0
//
// The AEAD and the digest tree of chunks.
#include "sealing/chunk.h"

#include <algorithm>

namespace ckptseal {

Digest chunk_digest(ByteView ciphertext) {
  Sha256 root;
  for (std::size_t at = 0; at < ciphertext.size(); at += leaf_size) {
    root.update(Sha256::of(ciphertext.subspan(at, std::min(leaf_size, ciphertext.size() - at))));
  }
  return root.finish();
}

Result<ImageCipher> ImageCipher::make(const FileKeys& keys, Suite suite,
                                      std::uint32_t image_number) {
  CKPTSEAL_ASSIGN(const Secret key, keys.image_key(image_number));
  CKPTSEAL_ASSIGN(Aead aead, Aead::make(cipher_of(suite), key));
  return ImageCipher(std::move(aead), suite);
}

Status ImageCipher::encrypt(std::uint64_t index, bool last, MutableByteView data,
                            ChunkEntry& entry) {
  CKPTSEAL_ASSIGN(entry.tag, aead_.encrypt(position_nonce(index, last), {}, data));
  if (!is_exclusive(suite_)) entry.digest = chunk_digest(data);
  return {};
}

Status ImageCipher::decrypt(std::uint64_t index, bool last, MutableByteView data,
                            const ChunkEntry& entry) {
  const Error altered{Code::integrity, "a chunk of its data is damaged or altered", 0};
  if (!is_exclusive(suite_) && !same_bytes(chunk_digest(data), entry.digest)) return altered;
  CKPTSEAL_ASSIGN(const bool fits, aead_.decrypt(position_nonce(index, last), {}, data, entry.tag));
  if (!fits) return altered;
  return {};
}

}  // namespace ckptseal
