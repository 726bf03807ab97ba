// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Header copies". The input is the front of a block; zeros, checksum and the
// digests of slots are added.
#include "sealed_parts.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  (void)HeaderBlock::parse(input);
  const Bytes block = header_copy(input);
  const Result<HeaderBlock> parsed = HeaderBlock::parse(block);
  if (!parsed.ok()) return 0;
  const HeaderBlock& header = parsed.value();
  require(header.fits(header_size));
  require(header.immutable.serialize() == header.immutable_bytes);
  require(serialize_slots(header.slots) == header.slot_bytes);
  // Nobody has the key of its MAC: that stays as it is.
  static const Secret key = Secret::copy_of(Bytes(32, 1)).value();
  Bytes again = header.serialize(key);
  const std::size_t before_mac = header.authenticated.size();
  std::copy(header.mac.begin(), header.mac.end(),
            again.begin() + static_cast<std::ptrdiff_t>(before_mac));
  require(with_checksum(ByteView(again).first(header_size - 32), header_size) == block);
  return 0;
}
