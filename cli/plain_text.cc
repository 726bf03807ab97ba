// SPDX-License-Identifier: Apache-2.0
//
// Byte by byte: all but the first row of these characters are c2 80 to c2 9f.
#include "cli/plain_text.h"

namespace ckptseal {

std::string without_controls(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool second_row = byte == 0xc2 && next < 0xa0;
    out += byte < 0x20 || byte == 0x7f || second_row ? '?' : text[i];
    if (second_row) ++i;
  }
  return out;
}

}  // namespace ckptseal
