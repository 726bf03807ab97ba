// SPDX-License-Identifier: Apache-2.0
#include "sealing/damage.h"

#include <fmt/format.h>

namespace ckptseal {

Error damaged_header(std::string_view why) {
  return {Code::integrity, fmt::format("its header is damaged or altered ({})", why), 0};
}

Error damaged_manifest(std::string_view why) {
  return {Code::integrity, fmt::format("its manifest is not as it has to be ({})", why), 0};
}

}  // namespace ckptseal
