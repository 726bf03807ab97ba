// SPDX-License-Identifier: Apache-2.0
//
// sealing/chunk.h and sealing/file_keys.h: docs/format.md, "Keys" and "Chunks".
#include "sealing/chunk.h"

#include <gtest/gtest.h>

#include "sample.h"

namespace ckptseal {
namespace {

using test::pattern;

Secret secret_of(std::uint8_t byte) { return std::move(Secret::copy_of(Bytes(32, byte))).value(); }

FileKeys keys_of(std::uint8_t byte, std::string_view immutable = "immutable") {
  return std::move(FileKeys::derive(secret_of(byte), as_bytes(immutable))).value();
}

ImageCipher cipher_of_image(const FileKeys& keys, Suite suite, std::uint32_t image) {
  return std::move(ImageCipher::make(keys, suite, image)).value();
}

// The definition, written out with the primitives.
TEST(FileKeysTest, AreThoseOfTheSpecification) {
  const Secret data_key = secret_of(1);
  const Digest salt = Sha256::of(as_bytes("immutable"));
  const Secret prk = std::move(hkdf_extract(salt, data_key.view())).value();
  const auto expand = [&](ByteView info) {
    return to_hex(std::move(hkdf_expand(prk, info, 32)).value().view());
  };
  const FileKeys keys = keys_of(1);
  EXPECT_EQ(to_hex(keys.header_key().view()), expand(as_bytes("ckpt-seal/v1/header")));
  EXPECT_EQ(to_hex(keys.manifest_key().view()), expand(as_bytes("ckpt-seal/v1/manifest")));
  Bytes info(as_bytes("ckpt-seal/v1/image").begin(), as_bytes("ckpt-seal/v1/image").end());
  info.insert(info.end(), {0, 1, 2, 3});
  EXPECT_EQ(to_hex(keys.image_key(0x00010203).value().view()), expand(info));
}

TEST(FileKeysTest, EveryInputChangesEveryKey) {
  const FileKeys base = keys_of(1);
  for (const FileKeys& other : {keys_of(2), keys_of(1, "immutablf")}) {
    EXPECT_FALSE(same_bytes(base.header_key().view(), other.header_key().view()));
    EXPECT_FALSE(same_bytes(base.manifest_key().view(), other.manifest_key().view()));
    EXPECT_FALSE(same_bytes(base.image_key(0).value().view(), other.image_key(0).value().view()));
  }
  EXPECT_FALSE(same_bytes(base.image_key(0).value().view(), base.image_key(1).value().view()));
}

TEST(FileKeysTest, TheCommitmentBindsKeyAndCheckpoint) {
  CheckpointId id{};
  const Digest base = commit_to_key(secret_of(1), id).value();
  EXPECT_EQ(base, commit_to_key(secret_of(1), id).value());
  EXPECT_NE(base, commit_to_key(secret_of(2), id).value());
  id[15] = 1;
  EXPECT_NE(base, commit_to_key(secret_of(1), id).value());
}

TEST(ChunkDigestTest, IsThatOfTheDigestsOfItsLeaves) {
  EXPECT_EQ(chunk_digest({}), Sha256::of({}));
  const Bytes one = pattern("x", 100);
  EXPECT_EQ(chunk_digest(one), Sha256::of(Sha256::of(one)));
  const Bytes three = pattern("x", 2 * leaf_size + 1);
  const ByteView all(three);
  ByteWriter leaves;
  leaves.bytes(Sha256::of(all.first(leaf_size)))
      .bytes(Sha256::of(all.subspan(leaf_size, leaf_size)))
      .bytes(Sha256::of(all.subspan(2 * leaf_size)));
  EXPECT_EQ(chunk_digest(three), Sha256::of(leaves.view()));
}

TEST(ChunkCountTest, TheLastChunkIsNeverFull) {
  EXPECT_EQ(chunk_count(0, 65536), 1U);
  EXPECT_EQ(chunk_count(65535, 65536), 1U);
  EXPECT_EQ(chunk_count(65536, 65536), 2U);
  EXPECT_EQ(chunk_count(65537, 65536), 2U);
  EXPECT_EQ(chunk_count(largest_image_length - 1, 65536), std::uint64_t{1} << 46);
}

TEST(PositionNonceTest, HasIndexAndLastFlag) {
  EXPECT_EQ(to_hex(position_nonce(0x0102030405060708, false)), "000000010203040506070800");
  EXPECT_EQ(to_hex(position_nonce(0, true)), "000000000000000000000001");
}

class ImageCipherTest : public testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(Suites, ImageCipherTest,
                         testing::Values(Suite::aes_256_gcm, Suite::chacha20_poly1305,
                                         Suite::aes_256_gcm_exclusive,
                                         Suite::chacha20_poly1305_exclusive));

TEST_P(ImageCipherTest, AChunkOpensInItsPlaceAlone) {
  const FileKeys keys = keys_of(1);
  ImageCipher cipher = cipher_of_image(keys, GetParam(), 4);
  const Bytes plaintext = pattern("chunk", 40000);
  Bytes sealed = plaintext;
  ChunkEntry entry;
  ASSERT_TRUE(cipher.encrypt(7, false, sealed, entry).ok());
  EXPECT_NE(sealed, plaintext);
  EXPECT_EQ(all_zero(entry.digest), is_exclusive(GetParam()));

  const auto opens = [&](ImageCipher& with, std::uint64_t index, bool last, Bytes data,
                         const ChunkEntry& as) {
    const Status opened = with.decrypt(index, last, data, as);
    if (!opened.ok()) {
      EXPECT_EQ(opened.error().code, Code::integrity);
      EXPECT_NE(data, plaintext);
      return false;
    }
    EXPECT_EQ(data, plaintext);
    return true;
  };
  EXPECT_TRUE(opens(cipher, 7, false, sealed, entry));
  EXPECT_FALSE(opens(cipher, 8, false, sealed, entry)) << "another index";
  EXPECT_FALSE(opens(cipher, 7, true, sealed, entry)) << "the last one";
  ImageCipher other_image = cipher_of_image(keys, GetParam(), 5);
  EXPECT_FALSE(opens(other_image, 7, false, sealed, entry)) << "another image";
  ImageCipher other_file = cipher_of_image(keys_of(1, "other"), GetParam(), 4);
  EXPECT_FALSE(opens(other_file, 7, false, sealed, entry)) << "another checkpoint";
  for (const std::size_t at : {std::size_t{0}, leaf_size - 1, leaf_size, std::size_t{39999}}) {
    Bytes other = sealed;
    other[at] ^= 1;
    EXPECT_FALSE(opens(cipher, 7, false, other, entry)) << at;
  }
  ChunkEntry other = entry;
  other.tag[0] ^= 1;
  EXPECT_FALSE(opens(cipher, 7, false, sealed, other));
  if (is_exclusive(GetParam())) return;
  other = entry;
  other.digest[0] ^= 1;
  EXPECT_FALSE(opens(cipher, 7, false, sealed, other));
}

TEST_P(ImageCipherTest, AnEmptyChunkHasATag) {
  ImageCipher cipher = cipher_of_image(keys_of(1), GetParam(), 0);
  ChunkEntry entry;
  ASSERT_TRUE(cipher.encrypt(0, true, {}, entry).ok());
  EXPECT_FALSE(all_zero(entry.tag));
  EXPECT_TRUE(cipher.decrypt(0, true, {}, entry).ok());
  entry.tag[15] ^= 1;
  EXPECT_FALSE(cipher.decrypt(0, true, {}, entry).ok());
}

}  // namespace
}  // namespace ckptseal
