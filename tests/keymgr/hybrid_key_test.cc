// SPDX-License-Identifier: Apache-2.0
//
// Hybrid keys in files, which are read everywhere, and wrapping and unwrapping with them, for which
// libcrypto needs ML-KEM. docs/format.md, "Hybrid public key slot".
#include "keymgr/public_key/hybrid_key.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/pem.h"
#include "hybrid_vectors.h"
#include "keymgr/public_key/secret_pem.h"
#include "public_key_support.h"

namespace ckptseal {
namespace {

using test::openssl_has_ml_kem;
using test::secret_of;

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};
constexpr std::uint16_t hybrid_kind = 6;
constexpr std::size_t ek_at = 32;

Result<HybridPublicKey> public_key(ByteView file) {
  return HybridPublicKey::from_file(file, "The public key");
}

Result<HybridIdentity> identity(std::string_view file) {
  return HybridIdentity::from_file(secret_of(as_bytes(file)), "The key file");
}

Bytes public_bytes() {
  return pem_decode(std::string(hybrid_public_label), as_bytes(vectors::hybrid_public_pem), "It")
      .value();
}

void expect_public_refused(ByteView bytes, const std::string& note) {
  const auto key = HybridPublicKey::from_bytes(bytes, "The public key");
  ASSERT_FALSE(key.ok()) << note;
  EXPECT_EQ(key.error().code, Code::integrity) << note;
}

TEST(HybridKeyFile, APublicKeyIsRead) {
  const HybridPublicKey key = public_key(as_bytes(vectors::hybrid_public_pem)).value();
  EXPECT_EQ(to_hex(key.id()), vectors::hybrid_key_id);
  EXPECT_EQ(key.x25519().size(), 32U);
  EXPECT_EQ(key.ml_kem().size(), 1184U);
  EXPECT_EQ(key.pem().value(), vectors::hybrid_public_pem);
}

TEST(HybridKeyFile, APrivateKeyIsRead) {
  const auto key = identity(vectors::hybrid_private_pem);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(as_text(key.value().pem().value().view()), vectors::hybrid_private_pem);
  EXPECT_EQ(key.value().key().has_value(), openssl_has_ml_kem());
}

// FIPS 203, section 7.2: each number is below q, at the first places and at the last.
TEST(HybridKeyFile, NumbersAboveTheModulusAreRefused) {
  const Bytes good = public_bytes();
  for (const std::size_t at : {ek_at, ek_at + 1149, ek_at + 576}) {
    for (const bool second : {false, true}) {
      const auto with = [&](unsigned number) {
        Bytes changed = good;
        if (second) {
          changed[at + 1] =
              static_cast<std::uint8_t>((changed[at + 1] & 0x0f) | (number << 4 & 0xf0));
          changed[at + 2] = static_cast<std::uint8_t>(number >> 4);
        } else {
          changed[at] = static_cast<std::uint8_t>(number);
          changed[at + 1] = static_cast<std::uint8_t>((changed[at + 1] & 0xf0) | number >> 8);
        }
        return changed;
      };
      EXPECT_TRUE(HybridPublicKey::from_bytes(with(3328), "It").ok()) << at;
      expect_public_refused(with(3329), std::to_string(at));
      expect_public_refused(with(4095), std::to_string(at));
    }
  }
  // Behind them stands a seed, which is any 32 bytes.
  Bytes changed = good;
  std::fill(changed.end() - 32, changed.end(), std::uint8_t{0xff});
  EXPECT_TRUE(HybridPublicKey::from_bytes(changed, "It").ok());
}

TEST(HybridKeyFile, OtherLengthsOfAPublicKeyAreRefused) {
  Bytes bytes = public_bytes();
  for (std::size_t size = 0; size < bytes.size(); size += 13) {
    expect_public_refused(ByteView(bytes).first(size), std::to_string(size));
  }
  expect_public_refused(ByteView(bytes).first(1215), "one less");
  bytes.push_back(0);
  expect_public_refused(bytes, "one more");
}

TEST(HybridKeyFile, AnythingAroundAPublicKeyIsRefused) {
  const std::string text(vectors::hybrid_public_pem);
  for (const std::string& other :
       {text + "\n", "\n" + text, text + text, text.substr(0, text.size() - 1), std::string()}) {
    const auto key = public_key(as_bytes(other));
    ASSERT_FALSE(key.ok());
    EXPECT_EQ(key.error().code, Code::integrity);
  }
  const auto other = public_key(as_bytes(vectors::hybrid_private_pem));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, Code::integrity);
}

TEST(HybridKeyFile, AnythingAroundAPrivateKeyIsRefused) {
  const std::string text(vectors::hybrid_private_pem);
  std::string spaced = text;
  spaced.insert(spaced.find('\n') + 10, "\n");
  std::string returns = text;
  returns.insert(returns.find('\n'), "\r");
  std::string padded = text;
  padded[padded.rfind("\n-----END") - 1] = '=';
  for (const std::string& other : {text + "\n", "\n" + text, text + text, spaced, returns, padded,
                                   text.substr(0, text.size() - 1), std::string("x")}) {
    const auto key = identity(other);
    ASSERT_FALSE(key.ok()) << other;
    EXPECT_EQ(key.error().code, Code::integrity);
    EXPECT_EQ(key.error().message.find(text.substr(50, 20)), std::string::npos);
  }
  for (std::size_t size = 1; size < text.size(); ++size) {
    EXPECT_FALSE(identity(text.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(identity(vectors::hybrid_public_pem).ok());
}

TEST(HybridKeyFile, OtherLengthsOfAPrivateKeyAreRefused) {
  for (const std::size_t size : {1U, 32U, 64U, 95U, 97U, 128U, 2432U}) {
    const Secret pem =
        secret_pem_encode(std::string(hybrid_private_label), random_secret(size).value()).value();
    const auto key = HybridIdentity::from_file(pem, "The key file");
    ASSERT_FALSE(key.ok()) << size;
    EXPECT_EQ(key.error().code, Code::integrity);
  }
}

TEST(MlKem, IsFoundWhereItIs) {
  EXPECT_EQ(has_ml_kem(), openssl_has_ml_kem());
  const Status status = require_ml_kem(Code::usage);
  ASSERT_EQ(status.ok(), openssl_has_ml_kem());
  if (status.ok()) return;
  EXPECT_EQ(status.error().code, Code::usage);
  EXPECT_NE(status.error().message.find("OpenSSL 3.5 or newer"), std::string::npos);
}

// What a reader does there with the slots of others, with slots of its own, and with other kinds.
TEST(MlKem, WithoutItNothingIsDoneAndTheSentenceSaysWhy) {
  if (openssl_has_ml_kem()) GTEST_SKIP() << "this libcrypto has ML-KEM";
  HybridIdentity reader = identity(vectors::hybrid_private_pem).value();
  const Bytes body = *from_hex(vectors::hybrid_slot);
  const auto opened = reader.unwrap({hybrid_kind, body}, some_checkpoint);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::no_slot);
  EXPECT_NE(opened.error().message.find("has no ML-KEM"), std::string::npos);
  EXPECT_FALSE(reader.unwrap({3, body}, some_checkpoint).value());
  EXPECT_FALSE(reader.unwrap({hybrid_kind, Bytes(31)}, some_checkpoint).value());

  HybridRecipient recipient(public_key(as_bytes(vectors::hybrid_public_pem)).value(), "");
  const auto wrapped = recipient.wrap(random_secret(data_key_size).value(), some_checkpoint);
  ASSERT_FALSE(wrapped.ok());
  EXPECT_EQ(wrapped.error().code, Code::usage);
  EXPECT_TRUE(recipient.owns({hybrid_kind, body}));
  const auto made = HybridIdentity::generate();
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, Code::usage);
}

class HybridKeyTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!openssl_has_ml_kem()) GTEST_SKIP() << "libcrypto has no ML-KEM before OpenSSL 3.5";
    identity.emplace(HybridIdentity::generate().value());
    body = wrap(*identity->key());
  }

  SlotBody wrap(const HybridPublicKey& key) {
    return HybridRecipient(key, "archive.pub").wrap(data_key, some_checkpoint).value();
  }

  void expect_integrity(const SlotBody& slot, const std::string& note) {
    const auto out = identity->unwrap(slot, some_checkpoint);
    ASSERT_FALSE(out.ok()) << note;
    EXPECT_EQ(out.error().code, Code::integrity) << note << " " << out.error().message;
  }

  void expect_skipped(const SlotBody& slot) {
    const auto out = identity->unwrap(slot, some_checkpoint);
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_FALSE(out.value());
  }

  Secret data_key = random_secret(data_key_size).value();
  std::optional<HybridIdentity> identity;
  SlotBody body;
};

TEST_F(HybridKeyTest, OpensWithThePrivateKey) {
  EXPECT_EQ(body.kind, hybrid_kind);
  EXPECT_EQ(HybridSlot::parse(body.bytes).value().label, "archive.pub");
  const auto key = identity->unwrap(body, some_checkpoint);
  ASSERT_TRUE(key.ok()) << key.error().message;
  ASSERT_TRUE(key.value());
  EXPECT_TRUE(equal_constant_time(key.value()->view(), data_key.view()));
}

TEST_F(HybridKeyTest, BothFilesGiveTheSameKey) {
  const HybridPublicKey again = public_key(as_bytes(identity->key()->pem().value())).value();
  EXPECT_EQ(again.id(), identity->key()->id());
  HybridIdentity reader =
      HybridIdentity::from_file(identity->pem().value(), "The key file").value();
  EXPECT_EQ(reader.key()->id(), again.id());
  EXPECT_TRUE(reader.unwrap(wrap(again), some_checkpoint).value());
}

TEST_F(HybridKeyTest, AnswersAnotherImplementation) {
  HybridIdentity reader = ckptseal::identity(vectors::hybrid_private_pem).value();
  EXPECT_EQ(reader.key()->pem().value(), vectors::hybrid_public_pem);
  Checkpoint of{};
  for (std::size_t i = 0; i < of.id.size(); ++i) of.id[i] = static_cast<std::uint8_t>(0x40 + i);
  const auto key = reader.unwrap({hybrid_kind, *from_hex(vectors::hybrid_slot)}, of);
  ASSERT_TRUE(key.ok()) << key.error().message;
  ASSERT_TRUE(key.value());
  EXPECT_EQ(to_hex(key.value()->view().first(4)), "80818283");
}

TEST_F(HybridKeyTest, EveryFlippedByteIsRefused) {
  for (std::size_t at = 0; at < body.bytes.size(); ++at) {
    SlotBody changed = body;
    changed.bytes[at] ^= 1;
    if (at < 32) {
      expect_skipped(changed);
    } else {
      expect_integrity(changed, std::to_string(at));
    }
  }
}

TEST_F(HybridKeyTest, CutsTailsAndOtherKinds) {
  for (std::size_t size = 0; size < body.bytes.size(); size += 7) {
    SlotBody cut = body;
    cut.bytes.resize(size);
    if (size < 32) {
      expect_skipped(cut);
    } else {
      expect_integrity(cut, std::to_string(size));
    }
  }
  SlotBody longer = body;
  longer.bytes.push_back(0);
  expect_integrity(longer, "a tail");
  body.kind = 3;
  expect_skipped(body);
}

TEST_F(HybridKeyTest, AnotherKeyOpensNothing) {
  const SlotBody foreign = wrap(*HybridIdentity::generate().value().key());
  expect_skipped(foreign);
  SlotBody renamed = foreign;
  std::copy_n(body.bytes.begin(), 32, renamed.bytes.begin());
  expect_integrity(renamed, "under this key's id");
}

// Whoever breaks one of the two has nothing: the other half is still somebody else's.
TEST_F(HybridKeyTest, NeitherHalfAloneOpens) {
  const Bytes own =
      *from_hex(to_hex(secret_pem_decode(std::string(hybrid_private_label), identity->pem().value())
                           .value()
                           ->view()));
  for (const bool kem_known : {false, true}) {
    Bytes half = own;
    const auto unknown = kem_known ? half.begin() : half.begin() + 32;
    std::fill(unknown, unknown + (kem_known ? 32 : 64), std::uint8_t{0x5a});
    const Secret pem =
        secret_pem_encode(std::string(hybrid_private_label), secret_of(half)).value();
    HybridIdentity thief = HybridIdentity::from_file(pem, "It").value();
    SlotBody renamed = body;
    const KeyId id = thief.key()->id();
    std::copy(id.begin(), id.end(), renamed.bytes.begin());
    EXPECT_FALSE(thief.unwrap(renamed, some_checkpoint).ok()) << kem_known;
  }
}

TEST_F(HybridKeyTest, OpensInNoOtherCheckpoint) {
  const auto key = identity->unwrap(body, Checkpoint{{1, 2, 4}, {}});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::integrity);
}

TEST_F(HybridKeyTest, EachSlotIsNew) {
  const HybridSlot one = HybridSlot::parse(body.bytes).value();
  const HybridSlot two = HybridSlot::parse(wrap(*identity->key()).bytes).value();
  EXPECT_NE(one.ephemeral, two.ephemeral);
  EXPECT_NE(one.ciphertext, two.ciphertext);
  EXPECT_NE(one.wrapped_key, two.wrapped_key);
}

TEST_F(HybridKeyTest, OwnsItsSlots) {
  HybridRecipient recipient(*identity->key(), "");
  EXPECT_TRUE(recipient.owns(body));
  SlotBody other = body;
  other.bytes[0] ^= 1;
  EXPECT_FALSE(recipient.owns(other));
  other = body;
  other.kind = 3;
  EXPECT_FALSE(recipient.owns(other));
}

TEST_F(HybridKeyTest, OtherDataKeysAreNotWrapped) {
  HybridRecipient recipient(*identity->key(), "");
  for (const std::size_t size : {16U, 31U, 33U}) {
    EXPECT_FALSE(recipient.wrap(random_secret(size).value(), some_checkpoint).ok()) << size;
  }
}

// A point of small order: RFC 7748, section 7.
TEST_F(HybridKeyTest, AForcedAgreementIsRefused) {
  Bytes bytes = public_bytes();
  std::fill_n(bytes.begin(), 32, std::uint8_t{0});
  HybridRecipient recipient(HybridPublicKey::from_bytes(bytes, "It").value(), "");
  const auto made = recipient.wrap(data_key, some_checkpoint);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, Code::integrity) << made.error().message;

  HybridSlot slot = HybridSlot::parse(body.bytes).value();
  slot.ephemeral = {};
  expect_integrity({hybrid_kind, slot.serialize()}, "ephemeral");
}

}  // namespace
}  // namespace ckptseal
