// SPDX-License-Identifier: Apache-2.0
//
// What every fuzz target shares. A target defines LLVMFuzzerTestOneInput(); libFuzzer drives it, or
// corpus_main.cc in builds without libFuzzer.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "base/crypto.h"

namespace ckptseal::fuzz {

// A property that does not hold is a crash.
inline void require(bool holds) {
  if (!holds) std::abort();
}

// Zeros behind `input` up to `size`; what is too long is cut.
inline Bytes padded(ByteView input, std::size_t size) {
  Bytes out(input.begin(),
            input.begin() + static_cast<std::ptrdiff_t>(input.size() < size ? input.size() : size));
  out.resize(size);
  return out;
}

// A block of `size` bytes that ends with the SHA-256 of the rest: else hardly any input would come
// past the checksum.
inline Bytes with_checksum(ByteView input, std::size_t size) {
  Bytes out = padded(input, size - 32);
  const Digest sum = Sha256::of(out);
  out.insert(out.end(), sum.begin(), sum.end());
  return out;
}

}  // namespace ckptseal::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
