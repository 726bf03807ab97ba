// SPDX-License-Identifier: Apache-2.0
//
// base/crypto.h against the vectors of the standards that it names, each with tampered twins.
#include "base/crypto.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <set>
#include <stdexcept>

#include "software_host.h"
#include "vector_file.h"

namespace ckptseal {
namespace {

using test::read_vector_file;
using test::SoftwareKey;
using test::VectorCase;

const std::string folder = CKPTSEAL_PUBLISHED_VECTORS;

Bytes hex(std::string_view text) { return from_hex(text).value(); }

template <typename Array>
Array array_of(ByteView bytes) {
  Array out{};
  if (bytes.size() != out.size()) throw std::runtime_error("a length is not as expected");
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

Secret secret_of(ByteView bytes) { return std::move(Secret::copy_of(bytes)).value(); }

// FIPS 180-4, and the message of a million letters in parts of odd sizes.
TEST(Sha256Test, PublishedDigests) {
  EXPECT_EQ(to_hex(Sha256::of({})),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(Sha256::of(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  const Bytes letters(1000, 'a');
  for (unsigned i = 0; i < 1000; ++i) {
    hash.update(ByteView(letters).first(i)).update(ByteView(letters).subspan(i));
  }
  EXPECT_EQ(to_hex(hash.finish()),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, StartsAnewAfterFinish) {
  Sha256 hash;
  hash.update(as_bytes("something else"));
  (void)hash.finish();
  EXPECT_EQ(hash.update(as_bytes("abc")).finish(), Sha256::of(as_bytes("abc")));
  Sha256 moved = std::move(hash);
  EXPECT_EQ(moved.finish(), Sha256::of({}));
}

// RFC 4231, test cases 1, 2 and 6 (a key longer than a block).
TEST(HmacTest, PublishedCodes) {
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(131, 0xaa),
                               as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// rfc5869.txt: ikm, salt, info, prk, okm; the length is that of okm.
TEST(HkdfTest, Rfc5869) {
  for (const VectorCase& vector : read_vector_file(folder + "/rfc5869.txt")) {
    SCOPED_TRACE(vector.describe());
    const Result<Secret> prk = hkdf_extract(vector.bytes("salt"), vector.bytes("ikm"));
    ASSERT_TRUE(prk.ok());
    EXPECT_EQ(to_hex(prk.value().view()), to_hex(vector.bytes("prk")));
    const Bytes expected = vector.bytes("okm");
    const Result<Secret> okm = hkdf_expand(prk.value(), vector.bytes("info"), expected.size());
    ASSERT_TRUE(okm.ok());
    EXPECT_EQ(to_hex(okm.value().view()), to_hex(expected));
    Bytes other_info = vector.bytes("info");
    other_info.push_back(0);
    const Result<Secret> other = hkdf_expand(prk.value(), other_info, expected.size());
    ASSERT_TRUE(other.ok());
    EXPECT_NE(to_hex(other.value().view()), to_hex(expected));
  }
}

struct AeadVector {
  Secret key;
  Nonce nonce;
  Bytes associated;
  Bytes plaintext;
  Bytes ciphertext;
  Tag tag;
};

// Encrypts, decrypts, and refuses one flipped bit of everything that goes in, with no plaintext
// left behind.
void check_aead(Result<Aead> aead, const AeadVector& vector) {
  ASSERT_TRUE(aead.ok());
  Bytes data = vector.plaintext;
  const Result<Tag> tag = aead.value().encrypt(vector.nonce, vector.associated, data);
  ASSERT_TRUE(tag.ok()) << tag.error().message;
  EXPECT_EQ(to_hex(data), to_hex(vector.ciphertext));
  EXPECT_EQ(to_hex(tag.value()), to_hex(vector.tag));

  const auto decrypts = [&](const Nonce& nonce, ByteView associated, Bytes input, const Tag& t) {
    const Bytes before = input;
    const Result<bool> fits = aead.value().decrypt(nonce, associated, input, t);
    if (!fits.ok()) throw std::runtime_error(fits.error().message);
    if (!fits.value()) {
      EXPECT_TRUE(all_zero(input)) << "what did not fit is wiped";
      return false;
    }
    EXPECT_EQ(to_hex(input), to_hex(vector.plaintext));
    return true;
  };
  EXPECT_TRUE(decrypts(vector.nonce, vector.associated, vector.ciphertext, vector.tag));
  Nonce other_nonce = vector.nonce;
  other_nonce[11] ^= 1;
  EXPECT_FALSE(decrypts(other_nonce, vector.associated, vector.ciphertext, vector.tag));
  for (std::size_t i = 0; i < vector.tag.size(); ++i) {
    Tag other = vector.tag;
    other[i] ^= 0x80;
    EXPECT_FALSE(decrypts(vector.nonce, vector.associated, vector.ciphertext, other)) << i;
  }
  for (std::size_t i = 0; i < vector.ciphertext.size(); ++i) {
    Bytes other = vector.ciphertext;
    other[i] ^= 1;
    EXPECT_FALSE(decrypts(vector.nonce, vector.associated, other, vector.tag)) << i;
  }
  Bytes other_associated = vector.associated;
  other_associated.push_back(0);
  EXPECT_FALSE(decrypts(vector.nonce, other_associated, vector.ciphertext, vector.tag));
}

AeadVector aead_vector(const VectorCase& vector) {
  return {secret_of(vector.bytes("key")), array_of<Nonce>(vector.bytes("nonce")),
          vector.bytes("associated"),     vector.bytes("plaintext"),
          vector.bytes("ciphertext"),     array_of<Tag>(vector.bytes("tag"))};
}

TEST(AeadTest, PublishedAes256Gcm) {
  for (const VectorCase& vector : read_vector_file(folder + "/gcm.txt")) {
    SCOPED_TRACE(vector.describe());
    const AeadVector aead = aead_vector(vector);
    check_aead(Aead::make(Cipher::aes_256_gcm, aead.key), aead);
    check_aead(Aead::make_portable(Cipher::aes_256_gcm, aead.key), aead);
  }
}

TEST(AeadTest, PublishedChaCha20Poly1305) {
  for (const VectorCase& vector : read_vector_file(folder + "/chacha20poly1305.txt")) {
    SCOPED_TRACE(vector.describe());
    const AeadVector aead = aead_vector(vector);
    check_aead(Aead::make(Cipher::chacha20_poly1305, aead.key), aead);
  }
}

class AeadCipherTest : public testing::TestWithParam<Cipher> {};
INSTANTIATE_TEST_SUITE_P(Both, AeadCipherTest,
                         testing::Values(Cipher::aes_256_gcm, Cipher::chacha20_poly1305));

// Sizes of chunks and pages, and their neighbors.
TEST_P(AeadCipherTest, RoundTripsOfAllSizes) {
  Aead aead = std::move(Aead::make(GetParam(), secret_of(Bytes(32, 7)))).value();
  for (const std::size_t size : {0UL, 1UL, 15UL, 16UL, 17UL, 16368UL, 65536UL, 524288UL}) {
    Bytes data(size, 0x5a);
    const Nonce nonce = {1, 2, 3};
    const Result<Tag> tag = aead.encrypt(nonce, {}, data);
    ASSERT_TRUE(tag.ok());
    EXPECT_TRUE(size < 16 || data != Bytes(size, 0x5a));
    Bytes altered = data;
    ASSERT_TRUE(aead.decrypt(nonce, {}, data, tag.value()).value()) << size;
    EXPECT_EQ(data, Bytes(size, 0x5a));
    if (size == 0) continue;
    altered[size - 1] ^= 1;
    EXPECT_FALSE(aead.decrypt(nonce, {}, altered, tag.value()).value()) << size;
    EXPECT_TRUE(all_zero(altered));
  }
}

// What one seals on a processor, the other opens on another.
TEST_P(AeadCipherTest, IsThePortableOne) {
  const Secret key = secret_of(Bytes(32, 9));
  Aead aead = std::move(Aead::make(GetParam(), key)).value();
  Aead portable = std::move(Aead::make_portable(GetParam(), key)).value();
  for (const std::size_t size : {0UL, 1UL, 16UL, 100UL, 4095UL, 524288UL}) {
    for (const std::size_t associated_size : {0UL, 1UL, 40UL}) {
      const Bytes associated(associated_size, 3);
      Bytes data(size, 0x33);
      Bytes other = data;
      const Result<Tag> tag = aead.encrypt(Nonce{5}, associated, data);
      const Result<Tag> portable_tag = portable.encrypt(Nonce{5}, associated, other);
      ASSERT_TRUE(tag.ok() && portable_tag.ok());
      EXPECT_EQ(data, other);
      EXPECT_EQ(tag.value(), portable_tag.value());
      EXPECT_TRUE(portable.decrypt(Nonce{5}, associated, data, tag.value()).value());
      EXPECT_TRUE(aead.decrypt(Nonce{5}, associated, other, tag.value()).value());
      EXPECT_EQ(data, Bytes(size, 0x33));
      EXPECT_EQ(other, data);
    }
  }
}

TEST_P(AeadCipherTest, RefusesKeysOfOtherLengths) {
  for (const std::size_t size : {1UL, 16UL, 31UL, 33UL}) {
    EXPECT_FALSE(Aead::make(GetParam(), secret_of(Bytes(size, 7))).ok()) << size;
    EXPECT_FALSE(Aead::make_portable(GetParam(), secret_of(Bytes(size, 7))).ok()) << size;
  }
}

TEST(RandomTest, NothingComesTwice) {
  std::set<ByteArray<16>> seen;
  for (unsigned i = 0; i < 100; ++i) {
    const Result<ByteArray<16>> random = random_array<16>();
    ASSERT_TRUE(random.ok());
    EXPECT_TRUE(seen.insert(random.value()).second);
  }
  const Result<Secret> secret = random_secret(32);
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(secret.value().size(), 32U);
  EXPECT_FALSE(all_zero(secret.value().view()));
}

TEST(CompareTest, SeesEveryByteAndTheLength) {
  const Bytes a = hex("00112233");
  EXPECT_TRUE(equal_constant_time(a, hex("00112233")));
  for (const char* other : {"01112233", "00112232", "001122", "0011223300", ""}) {
    EXPECT_FALSE(equal_constant_time(a, hex(other))) << other;
  }
  EXPECT_TRUE(equal_constant_time({}, {}));
}

// RFC 6979, A.2.5: P-256 with SHA-256, message "sample".
struct PublishedSignature {
  EcPoint key{array_of<ByteArray<32>>(
                  hex("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6")),
              array_of<ByteArray<32>>(
                  hex("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"))};
  Digest digest = Sha256::of(as_bytes("sample"));
  EcdsaSignature signature = array_of<EcdsaSignature>(
      hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
          "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"));
};
constexpr std::string_view order =
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

TEST(EcdsaTest, PublishedSignature) {
  const PublishedSignature p;
  EXPECT_TRUE(verify_p256(p.key, p.digest, p.signature));
}

TEST(EcdsaTest, EveryFlippedByteIsRefused) {
  const PublishedSignature p;
  for (std::size_t i = 0; i < 64; ++i) {
    EcdsaSignature other = p.signature;
    other[i] ^= 1;
    EXPECT_FALSE(verify_p256(p.key, p.digest, other)) << i;
  }
  for (std::size_t i = 0; i < 32; ++i) {
    Digest other = p.digest;
    other[i] ^= 0x10;
    EXPECT_FALSE(verify_p256(p.key, other, p.signature)) << i;
    EcPoint off_curve = p.key;
    off_curve.x[i] ^= 1;
    EXPECT_FALSE(verify_p256(off_curve, p.digest, p.signature)) << i;
    off_curve = p.key;
    off_curve.y[i] ^= 1;
    EXPECT_FALSE(verify_p256(off_curve, p.digest, p.signature)) << i;
  }
}

TEST(EcdsaTest, DegenerateNumbersAreRefused) {
  const PublishedSignature p;
  const auto with = [&](std::string_view r, std::string_view s) {
    Bytes both = hex(r);
    const Bytes second = hex(s);
    both.insert(both.end(), second.begin(), second.end());
    return array_of<EcdsaSignature>(both);
  };
  const std::string zero(64, '0');
  const std::string ones(64, 'f');
  const std::string r = to_hex(ByteView(p.signature).first(32));
  const std::string s = to_hex(ByteView(p.signature).last(32));
  for (const auto& [bad_r, bad_s] :
       std::initializer_list<std::pair<std::string, std::string>>{{zero, zero},
                                                                  {r, zero},
                                                                  {zero, s},
                                                                  {std::string(order), s},
                                                                  {r, std::string(order)},
                                                                  {ones, s},
                                                                  {r, ones},
                                                                  {s, r}}) {
    EXPECT_FALSE(verify_p256(p.key, p.digest, with(bad_r, bad_s))) << bad_r << " " << bad_s;
  }
  EXPECT_FALSE(verify_p256({}, p.digest, p.signature)) << "the point (0, 0)";
  EXPECT_FALSE(verify_p256({}, p.digest, {}));
  EcPoint beyond = p.key;
  beyond.x.fill(0xff);
  EXPECT_FALSE(verify_p256(beyond, p.digest, p.signature));
}

// Many, so that r, s and coordinates with leading zeros and with a set top bit come by.
TEST(EcdsaTest, SignaturesOfManyDigests) {
  const SoftwareKey key;
  const SoftwareKey other;
  bool short_number = false;
  for (std::uint32_t i = 0; i < 10000 && (i < 300 || !short_number); ++i) {
    const Digest digest = Sha256::of(ByteWriter().u32(i).view());
    const EcdsaSignature signature = key.sign(digest);
    short_number = short_number || signature[0] == 0 || signature[32] == 0;
    ASSERT_TRUE(verify_p256(key.point(), digest, signature)) << to_hex(signature);
    ASSERT_FALSE(verify_p256(other.point(), digest, signature));
  }
  EXPECT_TRUE(short_number);
}

}  // namespace
}  // namespace ckptseal
