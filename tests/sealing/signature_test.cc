// SPDX-License-Identifier: Apache-2.0
//
// sealing/signature.h: docs/format.md, "Signatures", and whose key "Trailer" lets it be.
#include "sealing/signature.h"

#include <gtest/gtest.h>

#include "doubles.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;

Bytes written(const FileSignature& signature) {
  ByteWriter out;
  signature.write(out);
  return out.take();
}

Bytes frame(std::uint16_t algorithm, std::uint16_t length, std::size_t there) {
  return ByteWriter().u16(algorithm).u16(length).bytes(Bytes(there, 9)).take();
}

std::optional<FileSignature> read(ByteView bytes) {
  ByteReader in(bytes);
  std::optional<FileSignature> out = FileSignature::read(in);
  if (out) {
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(written(*out), Bytes(bytes.begin(), bytes.end()));
    EXPECT_EQ(out->size(), bytes.size());
  }
  return out;
}

TEST(FileSignatureTest, ParseThenSerializeIsIdentity) {
  EXPECT_EQ(to_hex(written(FileSignature())), "00000000");
  EXPECT_TRUE(read(written(FileSignature()))->is_none());
  EcdsaSignature bytes{};
  bytes.fill(0x77);
  const Bytes signature = written(FileSignature(bytes));
  EXPECT_EQ(to_hex(ByteView(signature).first(6)), "000100407777");
  EXPECT_EQ(signature.size(), 68U);
  EXPECT_FALSE(read(signature)->is_none());
}

TEST(FileSignatureTest, AnUnknownAlgorithmCanBeToldApart) {
  for (const std::uint16_t length : {std::uint16_t{1}, std::uint16_t{3309}, std::uint16_t{16384}}) {
    const auto signature = read(frame(2, length, length));
    ASSERT_TRUE(signature) << length;
    EXPECT_FALSE(signature->is_none());
  }
  EXPECT_TRUE(read(frame(0xffff, 1, 1)));
}

TEST(FileSignatureTest, OtherLengthsAreRefused) {
  EXPECT_FALSE(read(frame(0, 1, 1))) << "bytes without an algorithm";
  EXPECT_FALSE(read(frame(0, 64, 64))) << "bytes without an algorithm";
  for (const std::uint16_t length : {std::uint16_t{0}, std::uint16_t{63}, std::uint16_t{65}}) {
    EXPECT_FALSE(read(frame(1, length, length))) << length;
  }
  EXPECT_FALSE(read(frame(2, 0, 0))) << "an algorithm without bytes";
  EXPECT_FALSE(read(frame(2, 16385, 16385)));
  EXPECT_FALSE(read(frame(2, 0xffff, 0xffff)));
}

TEST(FileSignatureTest, EveryCutIsRefused) {
  const Bytes whole = frame(1, 64, 64);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(read(ByteView(whole).first(size))) << size;
  }
}

TEST(FileSignatureTest, HoldsForItsHostAndDigestAlone) {
  const DoubleOrigin host;
  const DoubleOrigin other;
  const Digest digest = Sha256::of(as_bytes("digest"));
  const FileSignature signature(host.sign(digest));
  EXPECT_TRUE(signature.is_of(host.trusted(), digest, 5));
  EXPECT_FALSE(signature.is_of(other.trusted(), digest, 5));
  EXPECT_FALSE(signature.is_of(host.trusted(), Sha256::of(as_bytes("digesu")), 5));
  EXPECT_FALSE(FileSignature().is_of(host.trusted(), digest, 5)) << "none";
}

// The same 64 bytes under another number.
TEST(FileSignatureTest, AnUnknownAlgorithmHoldsNothing) {
  const DoubleOrigin host;
  const Digest digest = Sha256::of(as_bytes("digest"));
  Bytes bytes = written(FileSignature(host.sign(digest)));
  ASSERT_TRUE(read(bytes)->is_of(host.trusted(), digest, 5));
  bytes[1] = 2;
  EXPECT_FALSE(read(bytes)->is_of(host.trusted(), digest, 5));
}

TEST(FileSignatureTest, AnyKeyThatHasNotExpired) {
  const DoubleOrigin host("host-a", 100);
  const DoubleOrigin newer("host-a");
  TrustedOrigin both = newer.trusted();
  both.keys.push_back(host.trusted().keys[0]);
  const Digest digest = Sha256::of(as_bytes("digest"));
  const FileSignature signature(host.sign(digest));
  EXPECT_TRUE(signature.is_of(both, digest, 99));
  EXPECT_FALSE(signature.is_of(both, digest, 100)) << "from that second on";
  EXPECT_FALSE(signature.is_of(both, digest, 101));
  EXPECT_TRUE(FileSignature(newer.sign(digest)).is_of(both, digest, 101)) << "0 is never";
  both.keys.pop_back();
  EXPECT_FALSE(signature.is_of(both, digest, 99));
}

}  // namespace
}  // namespace ckptseal
