// SPDX-License-Identifier: Apache-2.0
//
// Hybrid slots, and what happens to each that was changed; all of it without ML-KEM, whose secret
// is that of the vector. docs/format.md, "Hybrid public key slot".
#include "keymgr/public_key/hybrid_slot.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hybrid_vectors.h"
#include "public_key_support.h"

namespace ckptseal {
namespace {

using test::secret_of;

constexpr std::size_t label_at = 32;
constexpr std::size_t label_size = 11;
constexpr std::size_t ephemeral_at = label_at + 1 + label_size;
constexpr std::size_t ciphertext_at = ephemeral_at + 32;
constexpr std::size_t wrapped_at = ciphertext_at + 1088;

CheckpointId vector_checkpoint() {
  CheckpointId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(0x40 + i);
  return id;
}

Bytes vector_data_key() {
  Bytes key(data_key_size);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(0x80 + i);
  return key;
}

class HybridSlotTest : public testing::Test {
 protected:
  void expect_integrity(ByteView changed, const std::string& note) {
    const auto slot = HybridSlot::parse(changed);
    ASSERT_FALSE(slot.ok()) << note;
    EXPECT_EQ(slot.error().code, Code::integrity) << note;
    EXPECT_NE(slot.error().message.find("A hybrid slot of this file"), std::string::npos);
  }

  Result<std::optional<Secret>> open(ByteView changed) {
    return HybridSlot::parse(changed).value().decrypt(kem, agreed, vector_checkpoint());
  }

  Bytes body = *from_hex(vectors::hybrid_slot);
  Secret kem = secret_of(*from_hex(vectors::hybrid_kem_secret));
  Secret agreed = secret_of(*from_hex(vectors::hybrid_agreed_secret));
};

TEST_F(HybridSlotTest, AnswersAnotherImplementation) {
  ASSERT_EQ(body.size(), wrapped_at + 48);
  const HybridSlot slot = HybridSlot::parse(body).value();
  EXPECT_EQ(to_hex(slot.key_id), vectors::hybrid_key_id);
  EXPECT_EQ(slot.label, "archive.pub");
  const auto key = open(body);
  ASSERT_TRUE(key.ok());
  ASSERT_TRUE(key.value());
  EXPECT_TRUE(same_bytes(key.value()->view(), vector_data_key()));
}

TEST_F(HybridSlotTest, EncryptingGivesTheSameBytes) {
  HybridSlot slot = HybridSlot::parse(body).value();
  slot.wrapped_key = {};
  slot.tag = {};
  const Secret data_key = secret_of(vector_data_key());
  ASSERT_TRUE(slot.encrypt(kem, agreed, data_key, vector_checkpoint()).ok());
  EXPECT_EQ(slot.serialize(), body);
}

TEST_F(HybridSlotTest, EveryFlippedByteIsRefused) {
  for (std::size_t at = 0; at < body.size(); ++at) {
    Bytes changed = body;
    changed[at] ^= 1;
    if (at == label_at) {  // the length
      expect_integrity(changed, "label's length");
      continue;
    }
    const auto key = open(changed);
    ASSERT_TRUE(key.ok()) << at;
    EXPECT_FALSE(key.value()) << at;
  }
}

TEST_F(HybridSlotTest, EveryCutAndAnyTailIsRefused) {
  for (std::size_t size = 0; size < body.size(); ++size) {
    expect_integrity(ByteView(body).first(size), std::to_string(size));
  }
  body.push_back(0);
  expect_integrity(body, "a tail");
}

// Of every single changed byte that parses.
TEST_F(HybridSlotTest, HasOneEncoding) {
  EXPECT_EQ(HybridSlot::parse(body).value().serialize(), body);
  for (std::size_t at = 0; at < body.size(); ++at) {
    for (const int change : {1, 2, 4, 0x40, 0x80, 0xff}) {
      Bytes changed = body;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ change);
      const auto slot = HybridSlot::parse(changed);
      if (slot.ok()) {
        EXPECT_EQ(slot.value().serialize(), changed) << at;
      }
    }
  }
}

TEST_F(HybridSlotTest, LabelsArePrintable) {
  for (const std::uint8_t byte : Bytes{0x00, 0x0a, 0x1b, 0x1f, 0x7f, 0x80, 0xff}) {
    Bytes changed = body;
    changed[label_at + 1] = byte;
    expect_integrity(changed, "label with " + std::to_string(byte));
  }
  HybridSlot slot = HybridSlot::parse(body).value();
  for (const std::size_t size : {0U, 255U}) {
    slot.label = std::string(size, '~');
    EXPECT_EQ(HybridSlot::parse(slot.serialize()).value().label, slot.label);
  }
}

TEST_F(HybridSlotTest, OpensWithBothSecretsAlone) {
  const HybridSlot slot = HybridSlot::parse(body).value();
  Bytes other_kem = *from_hex(vectors::hybrid_kem_secret);
  Bytes other_agreed = *from_hex(vectors::hybrid_agreed_secret);
  other_kem[0] ^= 1;
  other_agreed[31] ^= 0x80;
  EXPECT_FALSE(slot.decrypt(secret_of(other_kem), agreed, vector_checkpoint()).value());
  EXPECT_FALSE(slot.decrypt(kem, secret_of(other_agreed), vector_checkpoint()).value());
  EXPECT_FALSE(slot.decrypt(agreed, kem, vector_checkpoint()).value());  // exchanged
}

TEST_F(HybridSlotTest, OpensInNoOtherCheckpoint) {
  CheckpointId other = vector_checkpoint();
  other[15] ^= 1;
  EXPECT_FALSE(HybridSlot::parse(body).value().decrypt(kem, agreed, other).value());
}

// As somebody makes one who has both secrets, whatever they are.
void encrypt_by_hand(HybridSlot& slot, const Secret& kem, const Secret& agreed) {
  const CheckpointId id = vector_checkpoint();
  const Secret both = secret_of(ByteWriter().bytes(kem.view()).bytes(agreed.view()).view());
  const std::string_view purpose = "ckpt-seal/v1/hybrid";
  const Secret key = hkdf_expand(hkdf_extract(id, both.view()).value(),
                                 ByteWriter()
                                     .bytes(as_bytes(purpose))
                                     .bytes(slot.key_id)
                                     .bytes(slot.ephemeral)
                                     .bytes(slot.ciphertext)
                                     .view(),
                                 32)
                         .value();
  const Bytes body = slot.serialize();
  const Bytes associated = ByteWriter()
                               .bytes(as_bytes(purpose))
                               .bytes(id)
                               .bytes(ByteView(body).first(body.size() - 48))
                               .take();
  Bytes data = vector_data_key();
  slot.tag = Aead::make(Cipher::aes_256_gcm, key).value().encrypt({}, associated, data).value();
  std::copy(data.begin(), data.end(), slot.wrapped_key.begin());
}

// RFC 7748, section 6.1: somebody forced it.
TEST_F(HybridSlotTest, AnAllZeroAgreementIsRefused) {
  HybridSlot slot = HybridSlot::parse(body).value();
  const Secret zero = Secret::make(32).value();
  const Secret data_key = random_secret(32).value();
  const auto made = slot.encrypt(kem, zero, data_key, vector_checkpoint());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, Code::integrity);
  encrypt_by_hand(slot, kem, agreed);
  EXPECT_EQ(slot.serialize(), body);
  encrypt_by_hand(slot, kem, zero);
  EXPECT_FALSE(slot.decrypt(kem, zero, vector_checkpoint()).value());
  // Of ML-KEM it would be as good a secret as any other.
  EXPECT_TRUE(slot.encrypt(zero, agreed, data_key, vector_checkpoint()).ok());
}

TEST_F(HybridSlotTest, OtherLengthsAreNotWrapped) {
  HybridSlot slot = HybridSlot::parse(body).value();
  const Secret data_key = random_secret(32).value();
  for (const std::size_t size : {1U, 31U, 33U, 64U}) {
    const Secret other = random_secret(size).value();
    EXPECT_FALSE(slot.encrypt(other, agreed, data_key, vector_checkpoint()).ok()) << size;
    EXPECT_FALSE(slot.encrypt(kem, other, data_key, vector_checkpoint()).ok()) << size;
    EXPECT_FALSE(slot.encrypt(kem, agreed, other, vector_checkpoint()).ok()) << size;
    EXPECT_FALSE(slot.decrypt(other, agreed, vector_checkpoint()).ok()) << size;
    EXPECT_FALSE(slot.decrypt(kem, other, vector_checkpoint()).ok()) << size;
  }
}

TEST_F(HybridSlotTest, TheKeyIdStandsFirst) {
  EXPECT_EQ(to_hex(*hybrid_key_id_of(body)), vectors::hybrid_key_id);
  EXPECT_TRUE(hybrid_key_id_of(ByteView(body).first(32)));
  EXPECT_FALSE(hybrid_key_id_of(ByteView(body).first(31)));
}

}  // namespace
}  // namespace ckptseal
