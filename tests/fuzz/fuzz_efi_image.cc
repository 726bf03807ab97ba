// SPDX-License-Identifier: Apache-2.0
//
// docs/event-logs.md, "Predicted": EFI images and unified kernel images.
#include "fuzz.h"
#include "policies/pe_image.h"
#include "policies/unified_image.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<PeImage> image = PeImage::parse(input);
  const Result<UnifiedImage> unified = UnifiedImage::measure(input);
  if (!image.ok()) {
    require(!unified.ok());
    return 0;
  }
  const Digest digest = image.value().authenticode();
  for (const PeSection& section : image.value().sections()) require(section.content.size() <= size);
  if (unified.ok()) require(unified.value().image == digest);
  return 0;
}
