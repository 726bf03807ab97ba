// SPDX-License-Identifier: Apache-2.0
//
// Parts of a header, one like the other, for the tests that break them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sealing/header.h"

namespace ckptseal::test {

inline Bytes changed(Bytes bytes, std::size_t at, std::uint8_t value) {
  bytes.at(at) = value;
  return bytes;
}

template <typename T>
void expect_refused(const Result<T>& result, const std::string& what) {
  ASSERT_FALSE(result.ok()) << what;
  EXPECT_EQ(result.error().code, Code::integrity) << what;
}

// With the checksum made right again, so that the rule behind it is what refuses.
inline Bytes with_checksum(Bytes block) {
  const Digest sum = Sha256::of(ByteView(block).first(block.size() - 32));
  std::copy(sum.begin(), sum.end(), block.end() - 32);
  return block;
}

inline ImmutablePart immutable_part() {
  ImmutablePart part;
  part.suite = Suite::chacha20_poly1305;
  part.content = Content::criu;
  part.chunk_log2 = 20;
  part.depth = 1;
  part.id.fill(0x11);
  part.commitment.fill(0x22);
  part.origin.fill(0x33);
  part.parent.fill(0x44);
  part.slot_list.fill(0x55);
  part.created = 0x0102030405060708;
  return part;
}

inline EcdsaSignature some_signature(std::uint8_t byte) {
  EcdsaSignature out{};
  out.fill(byte);
  return out;
}

inline Slot slot_of(std::size_t body_size) { return {{2, Bytes(body_size, 0x5a)}, std::nullopt}; }

inline Slot added_slot_of(std::size_t body_size, std::uint64_t generation) {
  Slot slot = slot_of(body_size);
  slot.adder = SlotAdder{{}, generation, 1767300000, FileSignature(some_signature(8))};
  slot.adder->host.fill(7);
  return slot;
}

// A signature of an algorithm that no version defines.
inline FileSignature unknown_signature(std::size_t size) {
  ByteWriter out;
  out.u16(0x7e57).u16(static_cast<std::uint16_t>(size)).bytes(Bytes(size, 9));
  ByteReader in(out.view());
  return FileSignature::read(in).value();
}

}  // namespace ckptseal::test
