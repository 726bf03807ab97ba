// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Trailer". The input is u64 size of the file, u8 that chooses the size of the
// trailer, then its front; zeros, size and checksum are added.
#include "sealed_parts.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  ByteReader in(input);
  const std::uint64_t file_size = in.u64();
  const std::size_t blocks = in.u8() % 16 + 1;
  constexpr std::uint64_t data_start = block_size + 2 * header_size;
  (void)Trailer::size_in(input);
  const Bytes bytes = trailer_of(in.rest(), blocks);
  require(Trailer::size_in(ByteView(bytes).last(trailer_back_size)).value() == bytes.size());
  const Result<Trailer> trailer = Trailer::parse(bytes, file_size, data_start);
  if (!trailer.ok()) return 0;
  const Trailer& end = trailer.value();
  require(end.serialize() == bytes);
  require(end.manifest_offset >= data_start);
  require(end.manifest_offset + end.page_count * page_size + end.annex_size + bytes.size() ==
          file_size);
  return 0;
}
