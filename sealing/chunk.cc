// SPDX-License-Identifier: Apache-2.0
//
// The AEAD and the digest tree of chunks.
#include "sealing/chunk.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/sha256_each.h"

namespace ckptseal {

Digest chunk_digest(ByteView ciphertext) {
  std::vector<ByteView> leaves;
  for (std::size_t at = 0; at < ciphertext.size(); at += leaf_size) {
    leaves.push_back(ciphertext.subspan(at, std::min(leaf_size, ciphertext.size() - at)));
  }
  std::vector<Digest> digests(leaves.size());
  sha256_each(leaves, digests);
  Sha256 root;
  for (const Digest& digest : digests) root.update(digest);
  return root.finish();
}

// A cipher serves one thread at a time, so there are as many as threads have met.
class ImageCipher::Ciphers {
 public:
  Ciphers(Secret key, Cipher cipher, Aead first) : key_(std::move(key)), cipher_(cipher) {
    idle_.push_back(std::move(first));
  }

  Result<Aead> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        Aead aead = std::move(idle_.back());
        idle_.pop_back();
        return aead;
      }
    }
    return Aead::make(cipher_, key_);
  }
  void give(Aead aead) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(aead));
  }

 private:
  Secret key_;
  Cipher cipher_;
  std::mutex mutex_;
  std::vector<Aead> idle_;
};

ImageCipher::ImageCipher(std::unique_ptr<Ciphers> ciphers, Suite suite)
    : ciphers_(std::move(ciphers)), suite_(suite) {}
ImageCipher::ImageCipher(ImageCipher&&) noexcept = default;
ImageCipher& ImageCipher::operator=(ImageCipher&&) noexcept = default;
ImageCipher::~ImageCipher() = default;

Result<ImageCipher> ImageCipher::make(const FileKeys& keys, Suite suite,
                                      std::uint32_t image_number) {
  CKPTSEAL_ASSIGN(Secret key, keys.image_key(image_number));
  CKPTSEAL_ASSIGN(Aead aead, Aead::make(cipher_of(suite), key));
  return ImageCipher(std::make_unique<Ciphers>(std::move(key), cipher_of(suite), std::move(aead)),
                     suite);
}

Status ImageCipher::encrypt(std::uint64_t index, bool last, MutableByteView data,
                            ChunkEntry& entry) {
  CKPTSEAL_ASSIGN(Aead aead, ciphers_->take());
  CKPTSEAL_ASSIGN(entry.tag, aead.encrypt(position_nonce(index, last), {}, data));
  ciphers_->give(std::move(aead));
  if (!is_exclusive(suite_)) entry.digest = chunk_digest(data);
  return {};
}

Status ImageCipher::decrypt(std::uint64_t index, bool last, MutableByteView data,
                            const ChunkEntry& entry) {
  const Error altered{Code::integrity, "a chunk of its data is damaged or altered", 0};
  if (!is_exclusive(suite_) && !same_bytes(chunk_digest(data), entry.digest)) return altered;
  CKPTSEAL_ASSIGN(Aead aead, ciphers_->take());
  CKPTSEAL_ASSIGN(const bool fits, aead.decrypt(position_nonce(index, last), {}, data, entry.tag));
  ciphers_->give(std::move(aead));
  if (!fits) return altered;
  return {};
}

}  // namespace ckptseal
