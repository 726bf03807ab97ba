// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Preamble". What parses is what build_preamble() writes.
#include "fuzz.h"
#include "sealing/header.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  for (const Bytes& block : {Bytes(data, data + size), padded(input, block_size)}) {
    const Result<unsigned> log2 = parse_preamble(block);
    if (log2.ok()) require(build_preamble(log2.value()) == block);
  }
  return 0;
}
