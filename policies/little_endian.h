// SPDX-License-Identifier: Apache-2.0
//
// Firmware and Windows write numbers with their lowest byte first; base/bytes.h reads the other
// order, that of our formats and of the TPM. As there, nothing is read past the end, and ok() says
// whether anything was missing.
#pragma once

#include "base/bytes.h"

namespace ckptseal {

class LittleEndianReader {
 public:
  explicit LittleEndianReader(ByteView bytes) : reader_(bytes), size_(bytes.size()) {}

  std::uint8_t u8() { return reader_.u8(); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  ByteView view(std::size_t length) { return reader_.view(length); }

  bool ok() const { return reader_.ok(); }
  bool at_end() const { return reader_.at_end(); }
  std::size_t remaining() const { return reader_.remaining(); }
  ByteView rest() const { return reader_.rest(); }
  std::size_t position() const { return size_ - reader_.remaining(); }

 private:
  std::uint64_t number(std::size_t width) {
    const ByteView bytes = reader_.view(width);
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
    return value;
  }

  ByteReader reader_;
  std::size_t size_;
};

}  // namespace ckptseal
