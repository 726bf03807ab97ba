// SPDX-License-Identifier: Apache-2.0
//
// The two integers of a sequence, by hand: a library's reader would forgive what is not DER.
#include "der_signature.h"

#include <algorithm>

namespace ckptseal::test {
namespace {

// The content of what comes next when it is of this type and its length is in the short form, which
// is enough for two numbers of 33 bytes.
std::optional<ByteView> take(ByteReader& in, std::uint8_t type) {
  if (in.u8() != type) return std::nullopt;
  const std::uint8_t length = in.u8();
  if (length >= 0x80) return std::nullopt;
  const ByteView content = in.view(length);
  if (!in.ok()) return std::nullopt;
  return content;
}

bool take_number(ByteReader& in, MutableByteView out) {
  std::optional<ByteView> content = take(in, 0x02);
  if (!content || content->empty() || (content->front() & 0x80) != 0) return false;
  if (content->front() == 0 && content->size() > 1) {
    content = content->subspan(1);
    if ((content->front() & 0x80) == 0) return false;  // not the shortest
  }
  if (content->size() > out.size()) return false;
  std::copy(content->begin(), content->end(), out.last(content->size()).begin());
  return true;
}

}  // namespace

std::optional<EcdsaSignature> signature_from_der(ByteView der) {
  ByteReader in(der);
  const std::optional<ByteView> sequence = take(in, 0x30);
  if (!sequence || !in.at_end()) return std::nullopt;
  ByteReader numbers(*sequence);
  EcdsaSignature out{};
  const MutableByteView both(out);
  const bool taken = take_number(numbers, both.first(32)) && take_number(numbers, both.last(32));
  if (!taken || !numbers.at_end()) return std::nullopt;
  return out;
}

}  // namespace ckptseal::test
