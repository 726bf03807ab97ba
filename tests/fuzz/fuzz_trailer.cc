// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Trailer". The input is u64 size of the file, then the front of the block; zeros
// and checksum are added.
#include "fuzz.h"
#include "sealing/trailer.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  ByteReader in(input);
  const std::uint64_t file_size = in.u64();
  constexpr std::uint64_t data_start = 135168;
  (void)Trailer::parse(in.rest(), file_size, data_start);
  const Bytes block = with_checksum(in.rest(), block_size);
  const Result<Trailer> trailer = Trailer::parse(block, file_size, data_start);
  if (!trailer.ok()) return 0;
  require(trailer.value().serialize() == block);
  require(trailer.value().manifest_end() + block_size == file_size);
  return 0;
}
