// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Header copies". The input is the front of a block; zeros and checksum are added.
#include "fuzz.h"
#include "sealing/header.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  (void)HeaderBlock::parse(input);
  const Bytes block = with_checksum(input, std::size_t{1} << smallest_header_log2);
  const Result<HeaderBlock> parsed = HeaderBlock::parse(block);
  if (!parsed.ok()) return 0;
  const HeaderBlock& header = parsed.value();
  ByteWriter again;
  again.bytes(ByteView(block).first(8))
      .u64(header.generation)
      .u32(static_cast<std::uint32_t>(header.immutable_bytes.size()))
      .u32(static_cast<std::uint32_t>(serialize_slots(header.slots).size()))
      .bytes(header.immutable.serialize())
      .bytes(serialize_slots(header.slots));
  require(same_bytes(again.view(), header.authenticated));
  again.bytes(header.mac);
  require(with_checksum(again.view(), block.size()) == block);
  return 0;
}
