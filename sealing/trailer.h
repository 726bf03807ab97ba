// SPDX-License-Identifier: Apache-2.0
//
// The last block of a sealed checkpoint: where the manifest is, and the signature of the origin.
// docs/format.md, "Trailer". Pure: bytes in, bytes out.
#pragma once

#include <optional>

#include "sealing/layout.h"

namespace ckptseal {

struct Trailer {
  std::uint64_t manifest_offset = 0;
  std::uint64_t page_count = 0;
  std::optional<EcdsaSignature> signature;  // nullopt: unsigned

  std::uint64_t manifest_end() const { return manifest_offset + page_count * page_size; }

  Bytes serialize() const;  // block_size bytes
  // `file_size` and the start of the data area bound what it may say.
  static Result<Trailer> parse(ByteView block, std::uint64_t file_size, std::uint64_t data_start);
};

// What the origin signs.
Digest file_signature_digest(ByteView immutable_bytes, const Digest& manifest_digest);

}  // namespace ckptseal
