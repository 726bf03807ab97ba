// SPDX-License-Identifier: Apache-2.0
//
// What firmware, systemd-stub and the kernel measure of a unified kernel image (UAPI Group,
// "Unified Kernel Image"), computed from the file.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

struct UnifiedImage {
  Digest image{};   // PCR 4: the image itself
  Digest kernel{};  // PCR 4: the kernel in it, which the stub starts as an image of its own
  // PCR 11: name and digest of each section's content, in the order of the stub.
  std::vector<std::pair<std::string, Digest>> sections;
  // PCR 9, by the kernel: its command line and its initrd. Without a value where the stub passes
  // them on in another form than the image has them.
  std::optional<Digest> options;
  std::optional<Digest> initrd;
  // Of the kernel: 6.1 is {6, 1}.
  std::pair<unsigned, unsigned> kernel_version;

  bool has(std::string_view section) const;

  // Code::integrity when the file is no such image, has a section twice or one of which the stub
  // would choose; Code::failed when its stub is not known (policies/unified_sections.h).
  static Result<UnifiedImage> measure(ByteView file);
};

}  // namespace ckptseal
