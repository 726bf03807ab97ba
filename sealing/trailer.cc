// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes the trailer.
#include "sealing/trailer.h"

#include <fmt/format.h>

namespace ckptseal {
namespace {

constexpr std::string_view trailer_magic = "CKSTRAIL";

Error damaged(std::string_view why) {
  return Error{Code::integrity, fmt::format("its end is cut off, damaged or altered ({})", why), 0};
}

}  // namespace

Bytes Trailer::serialize() const {
  ByteWriter out;
  out.bytes(as_bytes(trailer_magic))
      .u64(manifest_offset)
      .u64(page_count)
      .u16(signature ? 1 : 0)
      .bytes(signature.value_or(EcdsaSignature{}));
  out.zeros(block_size - 32 - out.size());
  out.bytes(Sha256::of(out.view()));
  return out.take();
}

Result<Trailer> Trailer::parse(ByteView block, std::uint64_t file_size, std::uint64_t data_start) {
  ByteReader in(block);
  const ByteView magic = in.view(trailer_magic.size());
  Trailer trailer;
  trailer.manifest_offset = in.u64();
  trailer.page_count = in.u64();
  const std::uint16_t algorithm = in.u16();
  const auto signature = in.array<64>();
  const ByteView padding = in.view(block_size - 90 - 32);
  const auto checksum = in.array<32>();
  if (!in.at_end() || !same_bytes(magic, as_bytes(trailer_magic))) return damaged("wrong magic");
  if (!same_bytes(Sha256::of(block.first(block_size - 32)), checksum)) {
    return damaged("wrong checksum");
  }
  if (algorithm > 1) return damaged("unknown signature algorithm");
  if (algorithm == 0 && !all_zero(signature)) return damaged("a signature that is none");
  if (!all_zero(padding)) return damaged("its padding is not zero");
  if (trailer.page_count == 0 || trailer.page_count > largest_page_count) {
    return damaged("an absurd number of manifest pages");
  }
  if (trailer.manifest_offset % block_size != 0 || trailer.manifest_offset < data_start ||
      trailer.manifest_offset > file_size || trailer.manifest_end() + block_size != file_size) {
    return damaged("it contradicts the size of the file");
  }
  if (algorithm == 1) trailer.signature = signature;
  return trailer;
}

Digest file_signature_digest(ByteView immutable_bytes, const Digest& manifest_digest) {
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/file"))
      .bytes(Sha256::of(immutable_bytes))
      .bytes(manifest_digest);
  return Sha256::of(out.view());
}

}  // namespace ckptseal
