// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes the trailer.
#include "sealing/trailer.h"

#include <fmt/format.h>

namespace ckptseal {
namespace {

constexpr std::string_view trailer_magic = "CKSTRAIL";
constexpr std::size_t front_size = 32;  // before the evidence
constexpr std::uint32_t largest_evidence = 32768;
constexpr std::size_t checksum_size = std::tuple_size_v<Digest>;

Error damaged(std::string_view why) {
  return Error{Code::integrity, fmt::format("its end is cut off, damaged or altered ({})", why), 0};
}

std::size_t size_for(const Trailer& trailer) {
  return round_to_blocks(front_size + trailer.evidence.size() + trailer.signature.size() +
                         trailer_back_size);
}

Status check_places(const Trailer& trailer, std::size_t size, std::uint64_t file_size,
                    std::uint64_t data_start) {
  if (trailer.page_count == 0 || trailer.page_count > largest_page_count) {
    return damaged("an absurd number of manifest pages");
  }
  if (trailer.annex_size % block_size != 0 || trailer.annex_size > largest_annex) {
    return damaged("its annex has an absurd size");
  }
  const std::uint64_t behind = trailer.page_count * page_size + trailer.annex_size + size;
  if (trailer.manifest_offset % block_size != 0 || trailer.manifest_offset < data_start ||
      trailer.manifest_offset > file_size || trailer.manifest_offset + behind != file_size) {
    return damaged("it contradicts the size of the file");
  }
  return {};
}

}  // namespace

Bytes Trailer::serialize() const {
  const std::size_t size = size_for(*this);
  ByteWriter out;
  out.bytes(as_bytes(trailer_magic))
      .u64(manifest_offset)
      .u64(page_count)
      .u32(annex_size)
      .u32(static_cast<std::uint32_t>(evidence.size()))
      .bytes(evidence);
  signature.write(out);
  out.zeros(size - trailer_back_size - out.size());
  out.u32(static_cast<std::uint32_t>(size));
  out.bytes(Sha256::of(out.view()));
  return out.take();
}

Result<std::uint32_t> Trailer::size_in(ByteView back) {
  const std::uint32_t size = ByteReader(back).u32();
  if (back.size() != trailer_back_size || size == 0 || size % block_size != 0 ||
      size > largest_trailer) {
    return damaged("no possible size");
  }
  return size;
}

Result<Trailer> Trailer::parse(ByteView bytes, std::uint64_t file_size, std::uint64_t data_start) {
  ByteReader in(bytes.first(bytes.size() - trailer_back_size));
  const ByteView magic = in.view(trailer_magic.size());
  if (!same_bytes(magic, as_bytes(trailer_magic))) return damaged("wrong magic");
  if (!same_bytes(Sha256::of(bytes.first(bytes.size() - checksum_size)),
                  bytes.last(checksum_size))) {
    return damaged("wrong checksum");
  }
  Trailer trailer;
  trailer.manifest_offset = in.u64();
  trailer.page_count = in.u64();
  trailer.annex_size = in.u32();
  const std::uint32_t evidence_size = in.u32();
  if (evidence_size > largest_evidence) return damaged("its evidence is too long");
  const ByteView evidence = in.view(evidence_size);
  trailer.evidence.assign(evidence.begin(), evidence.end());
  std::optional<FileSignature> signature = FileSignature::read(in);
  if (!signature) return damaged("a signature that is none");
  trailer.signature = *std::move(signature);
  if (!all_zero(in.rest())) return damaged("its padding is not zero");
  if (size_for(trailer) != bytes.size()) return damaged("it is larger than it has to be");
  CKPTSEAL_TRY(check_places(trailer, bytes.size(), file_size, data_start));
  return trailer;
}

Digest file_digest_of(ByteView immutable_bytes, const Digest& manifest_digest) {
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/file"))
      .bytes(Sha256::of(immutable_bytes))
      .bytes(manifest_digest);
  return Sha256::of(out.view());
}

Digest origin_digest_of(const Digest& file_digest, ByteView evidence) {
  ByteWriter out;
  out.bytes(as_bytes("ckpt-seal/v1/origin")).bytes(file_digest).bytes(Sha256::of(evidence));
  return Sha256::of(out.view());
}

}  // namespace ckptseal
