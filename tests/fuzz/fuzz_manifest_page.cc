// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Manifest", the plaintext of a page. The first byte chooses suite and size of
// chunks.
#include "fuzz.h"
#include "sealing/manifest.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (size == 0) return 0;
  const auto suite = static_cast<Suite>(data[0] % 4 + 1);
  const std::size_t chunk_size = std::size_t{1} << (smallest_chunk_log2 + data[0] / 4 % 7);
  (void)parse_page(input.subspan(1), suite, chunk_size);
  const Bytes plaintext = padded(input.subspan(1), page_plaintext_size);
  const Result<ManifestPage> page = parse_page(plaintext, suite, chunk_size);
  if (page.ok()) require(serialize_page(page.value(), suite) == plaintext);
  return 0;
}
