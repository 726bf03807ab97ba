// SPDX-License-Identifier: Apache-2.0
//
// The end of a sealed checkpoint: where manifest and annex are, evidence, and the signature of the
// origin. docs/format.md, "Trailer". Pure: bytes in, bytes out.
#pragma once

#include "sealing/layout.h"
#include "sealing/signature.h"

namespace ckptseal {

inline constexpr std::uint32_t largest_annex = 1 << 20;
inline constexpr std::uint32_t largest_trailer = 65536;
inline constexpr std::size_t trailer_back_size = 36;  // its size and checksum

struct Trailer {
  std::uint64_t manifest_offset = 0;
  std::uint64_t page_count = 0;
  std::uint32_t annex_size = 0;
  Bytes evidence;  // of the state of the origin at sealing; read by whoever judges it
  FileSignature signature;

  Bytes serialize() const;  // a multiple of block_size
  // The size that the last trailer_back_size bytes of a file speak of; Code::integrity when it is
  // none.
  static Result<std::uint32_t> size_in(ByteView back);
  // `bytes` are the last of the file, as many as size_in() said. `file_size` and the start of the
  // data area bound what it may say.
  static Result<Trailer> parse(ByteView bytes, std::uint64_t file_size, std::uint64_t data_start);
};

// Both of "Trailer"; the origin signs the second.
Digest file_digest_of(ByteView immutable_bytes, const Digest& manifest_digest);
Digest origin_digest_of(const Digest& file_digest, ByteView evidence);

}  // namespace ckptseal
