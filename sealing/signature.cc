// SPDX-License-Identifier: Apache-2.0
#include "sealing/signature.h"

#include <algorithm>

namespace ckptseal {
namespace {

constexpr std::uint16_t none = 0;
constexpr std::uint16_t ecdsa_p256 = 1;
constexpr std::size_t largest_unknown = 16384;

bool length_fits(std::uint16_t algorithm, std::size_t length) {
  if (algorithm == none) return length == 0;
  if (algorithm == ecdsa_p256) return length == std::tuple_size_v<EcdsaSignature>;
  return length >= 1 && length <= largest_unknown;
}

}  // namespace

FileSignature::FileSignature(const EcdsaSignature& signature)
    : algorithm_(ecdsa_p256), bytes_(signature.begin(), signature.end()) {}

bool FileSignature::is_of(const TrustedOrigin& host, const Digest& digest, Seconds when) const {
  if (algorithm_ != ecdsa_p256) return false;
  EcdsaSignature signature{};
  std::copy(bytes_.begin(), bytes_.end(), signature.begin());
  return host.has_signed(digest, signature, when);
}

void FileSignature::write(ByteWriter& out) const {
  out.u16(algorithm_).u16(static_cast<std::uint16_t>(bytes_.size())).bytes(bytes_);
}

std::optional<FileSignature> FileSignature::read(ByteReader& in) {
  FileSignature out;
  out.algorithm_ = in.u16();
  const std::size_t length = in.u16();
  const ByteView bytes = in.view(length);
  if (!in.ok() || !length_fits(out.algorithm_, length)) return std::nullopt;
  out.bytes_.assign(bytes.begin(), bytes.end());
  return out;
}

}  // namespace ckptseal
