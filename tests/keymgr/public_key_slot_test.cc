// SPDX-License-Identifier: Apache-2.0
//
// Public key slots, and what happens to each that was changed. docs/format.md, "Public key slot".
#include "keymgr/public_key/slot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "keymgr/public_key/private_key.h"
#include "public_key_support.h"
#include "public_key_vectors.h"

namespace ckptseal {
namespace {

using test::secret_of;
using test::TestKey;

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

// Where the parts start.
constexpr std::size_t source_at = 1;
constexpr std::size_t key_id_at = 2;
constexpr std::size_t certificate_at = 34;
constexpr std::size_t label_at = 66;

PublicKeyIdentity identity_of(const Bytes& pkcs8) {
  return read_private_key(secret_of(pkcs8), nullptr, "The key file").value();
}

// The private key of every algorithm; RSA keys take long to make.
const Bytes& key_of(KeyAlgorithm algorithm) {
  static const Bytes keys[] = {TestKey("P-256").pkcs8(), TestKey("P-384").pkcs8(),
                               TestKey("X25519").pkcs8(), TestKey("RSA", 2048).pkcs8()};
  return keys[static_cast<std::size_t>(algorithm) - 1];
}

SlotBody wrap_for(const PublicKey& key, const Secret& data_key,
                  const Checkpoint& of = some_checkpoint) {
  const RecipientName name{KeySource::certificate, Digest{9}, "CN=a leaf"};
  return PublicKeyRecipient(key, name).wrap(data_key, of).value();
}

class PublicKeySlotTest : public testing::TestWithParam<KeyAlgorithm> {
 protected:
  bool rsa() const { return GetParam() == KeyAlgorithm::rsa_oaep; }
  // Behind "CN=a leaf".
  std::size_t point_at() const { return label_at + 1 + 9; }

  void expect_integrity(const SlotBody& slot, const std::string& note) {
    const auto out = identity.unwrap(slot, some_checkpoint);
    ASSERT_FALSE(out.ok()) << note;
    EXPECT_EQ(out.error().code, Code::integrity) << note << " " << out.error().message;
  }

  PublicKeyIdentity identity = identity_of(key_of(GetParam()));
  Secret data_key = random_secret(data_key_size).value();
  SlotBody body = wrap_for(identity.key(), data_key);
};

INSTANTIATE_TEST_SUITE_P(Algorithms, PublicKeySlotTest,
                         testing::Values(KeyAlgorithm::ecdh_p256, KeyAlgorithm::ecdh_p384,
                                         KeyAlgorithm::x25519, KeyAlgorithm::rsa_oaep));

TEST_P(PublicKeySlotTest, OpensWithThePrivateKey) {
  EXPECT_EQ(body.kind, 3U);
  EXPECT_EQ(body.bytes[0], static_cast<std::uint8_t>(GetParam()));
  const std::size_t rest = rsa() ? 2 + 256 : 2 + point_size(GetParam()) + 48;
  EXPECT_EQ(body.bytes.size(), point_at() + rest);
  const auto key = identity.unwrap(body, some_checkpoint);
  ASSERT_TRUE(key.ok()) << key.error().message;
  ASSERT_TRUE(key.value());
  EXPECT_TRUE(equal_constant_time(key.value()->view(), data_key.view()));
}

TEST_P(PublicKeySlotTest, AnotherKeysSlotIsSkippedWhateverIsInIt) {
  body.bytes[key_id_at] ^= 1;
  body.bytes[0] = 5;
  body.bytes.resize(key_id_at + 32);
  const auto key = identity.unwrap(body, some_checkpoint);
  ASSERT_TRUE(key.ok());
  EXPECT_FALSE(key.value());
}

TEST_P(PublicKeySlotTest, AnotherKeyOpensNothingUnderThisKeyId) {
  for (const KeyAlgorithm other : {KeyAlgorithm::ecdh_p256, KeyAlgorithm::rsa_oaep}) {
    const Bytes key = other == GetParam() && rsa() ? TestKey("RSA", 2048).pkcs8()
                      : other == GetParam()        ? TestKey("P-256").pkcs8()
                                                   : key_of(other);
    const SlotBody foreign = wrap_for(identity_of(key).key(), data_key);
    SlotBody changed = foreign;
    std::copy_n(body.bytes.begin() + key_id_at, 32, changed.bytes.begin() + key_id_at);
    expect_integrity(changed, "another key");
    const auto skipped = identity.unwrap(foreign, some_checkpoint);
    ASSERT_TRUE(skipped.ok());
    EXPECT_FALSE(skipped.value());
  }
}

TEST_P(PublicKeySlotTest, OtherKindsAreSkipped) {
  body.kind = 2;
  const auto key = identity.unwrap(body, some_checkpoint);
  ASSERT_TRUE(key.ok());
  EXPECT_FALSE(key.value());
}

TEST_P(PublicKeySlotTest, OpensInNoOtherCheckpoint) {
  const auto key = identity.unwrap(body, Checkpoint{{1, 2, 4}, {}});
  // RSA is not bound to the checkpoint here: the key commitment of the file does that.
  ASSERT_EQ(key.ok(), rsa());
  if (!key.ok()) {
    EXPECT_EQ(key.error().code, Code::integrity);
  }
}

TEST_P(PublicKeySlotTest, EveryFlippedByteIsRefused) {
  for (std::size_t at = 0; at < body.bytes.size(); ++at) {
    SlotBody changed = body;
    changed.bytes[at] ^= 1;
    const auto key = identity.unwrap(changed, some_checkpoint);
    if (at >= key_id_at && at < certificate_at) {
      ASSERT_TRUE(key.ok());
      EXPECT_FALSE(key.value()) << at;
      continue;
    }
    // With RSA these say who it is for, and the digest in the slot list protects them.
    if (rsa() && at >= certificate_at && at < point_at() && at != label_at) {
      EXPECT_TRUE(key.ok()) << at;
      continue;
    }
    ASSERT_FALSE(key.ok()) << at;
    const bool unknown = at == 0 && (changed.bytes[0] < 1 || changed.bytes[0] > 4);
    EXPECT_EQ(key.error().code, unknown ? Code::no_slot : Code::integrity) << at;
  }
}

TEST_P(PublicKeySlotTest, EveryCutAndAnyTailIsRefused) {
  for (std::size_t size = 0; size < body.bytes.size(); ++size) {
    const ByteView cut = ByteView(body.bytes).first(size);
    const auto slot = PublicKeySlot::parse(cut);
    ASSERT_FALSE(slot.ok()) << size;
    EXPECT_EQ(slot.error().code, Code::integrity);
    const SlotBody shorter{3, Bytes(cut.begin(), cut.end())};
    if (size >= certificate_at) {
      expect_integrity(shorter, std::to_string(size));
      continue;
    }
    // Without a key id it is nobody's.
    const auto key = identity.unwrap(shorter, some_checkpoint);
    ASSERT_TRUE(key.ok()) << size;
    EXPECT_FALSE(key.value()) << size;
  }
  body.bytes.push_back(0);
  expect_integrity(body, "a tail");
}

TEST_P(PublicKeySlotTest, ParsingAndSerializingGiveTheSameBytes) {
  EXPECT_EQ(PublicKeySlot::parse(body.bytes).value().serialize(), body.bytes);
}

// Of every single changed byte that parses.
TEST_P(PublicKeySlotTest, HasOneEncoding) {
  for (std::size_t at = 0; at < body.bytes.size(); ++at) {
    for (const int change : {1, 2, 4, 0x40, 0x80, 0xff}) {
      Bytes changed = body.bytes;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ change);
      const auto slot = PublicKeySlot::parse(changed);
      if (slot.ok()) {
        EXPECT_EQ(slot.value().serialize(), changed) << at;
      }
    }
  }
}

// Whatever stands behind the key id.
TEST_P(PublicKeySlotTest, ANewerAlgorithmIsNamed) {
  for (const std::uint8_t algorithm : Bytes{0, 5, 255}) {
    body.bytes[0] = algorithm;
    for (const std::size_t size : {certificate_at, label_at, body.bytes.size()}) {
      const ByteView front = ByteView(body.bytes).first(size);
      const auto key = identity.unwrap({3, Bytes(front.begin(), front.end())}, some_checkpoint);
      ASSERT_FALSE(key.ok()) << size;
      EXPECT_EQ(key.error().code, Code::no_slot) << size;
      EXPECT_NE(key.error().message.find("newer ckpt-seal"), std::string::npos);
    }
  }
}

TEST_P(PublicKeySlotTest, SourceAndCertificateAgree) {
  for (const std::uint8_t source : Bytes{0, 2, 3, 4}) {
    SlotBody changed = body;
    changed.bytes[source_at] = source;
    expect_integrity(changed, "source " + std::to_string(source));
  }
  for (const KeySource source : {KeySource::token, KeySource::public_key}) {
    const SlotBody made = PublicKeyRecipient(identity.key(), {source, Digest{9}, ""})
                              .wrap(data_key, some_checkpoint)
                              .value();
    EXPECT_TRUE(all_zero(PublicKeySlot::parse(made.bytes).value().certificate));
    EXPECT_TRUE(identity.unwrap(made, some_checkpoint).ok());
  }
}

TEST_P(PublicKeySlotTest, LabelsArePrintable) {
  for (const std::uint8_t byte : Bytes{0x00, 0x0a, 0x1b, 0x1f, 0x7f, 0x80, 0xff}) {
    SlotBody changed = body;
    changed.bytes[label_at + 1] = byte;
    expect_integrity(changed, "label with " + std::to_string(byte));
  }
  const std::string wild = "a\x1b[31m\n" + std::string(300, '~') + "\xc3\xa9";
  const SlotBody made = PublicKeyRecipient(identity.key(), {KeySource::token, {}, wild})
                            .wrap(data_key, some_checkpoint)
                            .value();
  const std::string label = PublicKeySlot::parse(made.bytes).value().label;
  EXPECT_EQ(label, "a?[31m?" + std::string(248, '~'));
  EXPECT_TRUE(identity.unwrap(made, some_checkpoint).ok());
}

TEST_P(PublicKeySlotTest, EachSlotIsNew) {
  const SlotBody again = wrap_for(identity.key(), data_key);
  EXPECT_NE(again.bytes, body.bytes);
  const auto tail = [&](const SlotBody& slot) {
    return to_hex(ByteView(slot.bytes).subspan(point_at() + 2));
  };
  EXPECT_NE(tail(again).substr(0, 64), tail(body).substr(0, 64));
}

TEST_P(PublicKeySlotTest, OtherDataKeysAreNotWrapped) {
  for (const std::size_t size : std::vector<std::size_t>{16, 31, 33}) {
    EXPECT_FALSE(PublicKeyRecipient(identity.key(), {})
                     .wrap(random_secret(size).value(), some_checkpoint)
                     .ok());
  }
}

class CurveSlotTest : public PublicKeySlotTest {
 protected:
  void expect_point_refused(const Bytes& other, const std::string& note) {
    PublicKeySlot slot = PublicKeySlot::parse(body.bytes).value();
    slot.ephemeral = other;
    expect_integrity({3, slot.serialize()}, note);
  }

  Bytes point = PublicKeySlot::parse(body.bytes).value().ephemeral;
};

INSTANTIATE_TEST_SUITE_P(Curves, CurveSlotTest,
                         testing::Values(KeyAlgorithm::ecdh_p256, KeyAlgorithm::ecdh_p384));

TEST_P(CurveSlotTest, PointsOffTheCurveAreRefused) {
  for (const std::size_t at : {std::size_t{1}, point.size() / 2, point.size() - 1}) {
    Bytes off = point;
    off[at] ^= 1;
    SlotBody changed = body;
    std::copy(off.begin(), off.end(),
              changed.bytes.begin() + static_cast<std::ptrdiff_t>(point_at() + 2));
    const auto key = identity.unwrap(changed, some_checkpoint);
    ASSERT_FALSE(key.ok());
    EXPECT_NE(key.error().message.find("no point on its curve"), std::string::npos) << at;
  }
  Bytes zero(point.size());
  expect_point_refused(zero, "infinity, padded");
  zero[0] = 4;
  expect_point_refused(zero, "zero");
}

TEST_P(CurveSlotTest, OtherFormsOfAPointAreRefused) {
  const std::size_t half = (point.size() - 1) / 2;
  Bytes compressed(point.begin(), point.begin() + static_cast<std::ptrdiff_t>(1 + half));
  const auto sign = static_cast<std::uint8_t>(point.back() & 1);
  compressed[0] = static_cast<std::uint8_t>(2 + sign);
  expect_point_refused(compressed, "compressed");
  Bytes hybrid = point;
  hybrid[0] = static_cast<std::uint8_t>(6 + sign);
  expect_point_refused(hybrid, "hybrid");
  expect_point_refused({0}, "infinity");
  expect_point_refused({}, "none");
  Bytes longer = point;
  longer.push_back(0);
  expect_point_refused(longer, "longer");
}

// A point of small order makes every private key agree on zero: RFC 7748, section 7.
TEST(X25519Slot, AForcedSecretIsRefused) {
  const PublicKeyIdentity recipient = identity_of(key_of(KeyAlgorithm::x25519));
  for (const char* small : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    const Bytes point = *from_hex(small);
    PublicKeySlot slot;
    slot.algorithm = KeyAlgorithm::x25519;
    slot.key_id = recipient.key().id();
    slot.ephemeral = point;
    PublicKeyIdentity identity = identity_of(key_of(KeyAlgorithm::x25519));
    const auto opened = identity.unwrap({3, slot.serialize()}, some_checkpoint);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, Code::integrity);

    const auto key = PublicKey::from_point(KeyAlgorithm::x25519, point, "The key");
    ASSERT_TRUE(key.ok());
    const auto wrapped = PublicKeyRecipient(key.value(), {})
                             .wrap(random_secret(data_key_size).value(), some_checkpoint);
    ASSERT_FALSE(wrapped.ok());
    EXPECT_EQ(wrapped.error().code, Code::integrity) << wrapped.error().message;
  }
  // As a token could give it.
  PublicKeySlot slot;
  slot.algorithm = KeyAlgorithm::x25519;
  slot.ephemeral.resize(32);
  const Secret zero = Secret::make(32).value();
  EXPECT_FALSE(slot.encrypt(zero, random_secret(32).value(), some_checkpoint.id).ok());
  EXPECT_FALSE(slot.decrypt(zero, some_checkpoint.id).value());
}

TEST(PublicKeySlotSecret, HasTheLengthOfItsCurve) {
  PublicKeySlot slot;
  slot.algorithm = KeyAlgorithm::ecdh_p384;
  slot.ephemeral.resize(97);
  const Secret data_key = random_secret(32).value();
  for (const std::size_t size : std::vector<std::size_t>{31, 32, 47, 49, 66}) {
    const Secret z = random_secret(size).value();
    EXPECT_FALSE(slot.encrypt(z, data_key, some_checkpoint.id).ok()) << size;
    EXPECT_FALSE(slot.decrypt(z, some_checkpoint.id).ok()) << size;
  }
  EXPECT_TRUE(slot.encrypt(random_secret(48).value(), data_key, some_checkpoint.id).ok());
}

TEST(RsaSlot, CiphertextsAreAsLongAsTheModulus) {
  PublicKeyIdentity identity = identity_of(key_of(KeyAlgorithm::rsa_oaep));
  PublicKeySlot slot;
  slot.algorithm = KeyAlgorithm::rsa_oaep;
  slot.key_id = identity.key().id();
  for (const std::size_t size : std::vector<std::size_t>{0, 1, 255, 257, 384, 1024, 1025}) {
    slot.rsa_ciphertext.assign(size, 0x11);
    const auto key = identity.unwrap({3, slot.serialize()}, some_checkpoint);
    ASSERT_FALSE(key.ok()) << size;
    EXPECT_EQ(key.error().code, Code::integrity);
  }
}

// What a token answers reaches the caller as it is.
class LockedToken : public PrivateKeyOperation {
 public:
  Result<std::optional<Secret>> apply(ByteView /*input*/) override {
    return Error{Code::locked, "The token is locked.", 0};
  }
};

TEST_P(PublicKeySlotTest, ErrorsOfATokenArePassedOn) {
  PublicKeyIdentity token(identity.key(), std::make_unique<LockedToken>());
  const auto key = token.unwrap(body, some_checkpoint);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::locked);
}

class TokenWithShortAnswer : public PrivateKeyOperation {
 public:
  Result<std::optional<Secret>> apply(ByteView /*input*/) override {
    return std::optional<Secret>(random_secret(31).value());
  }
};

TEST_P(PublicKeySlotTest, AShortAnswerOfATokenIsRefused) {
  PublicKeyIdentity token(identity.key(), std::make_unique<TokenWithShortAnswer>());
  EXPECT_FALSE(token.unwrap(body, some_checkpoint).ok());
}

struct Vector {
  std::string_view key;
  std::string_view slot;
  std::string label;
};

TEST(PublicKeySlotVectors, KnownAnswers) {
  CheckpointId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(0x40 + i);
  for (const Vector& vector :
       {Vector{vectors::p256_key, vectors::p256_slot, "CN=recovery,O=Example"},
        Vector{vectors::p384_key, vectors::p384_slot, "a key"},
        Vector{vectors::x25519_key, vectors::x25519_slot, ""},
        Vector{vectors::rsa_key, vectors::rsa_slot, "token key 4"}}) {
    PublicKeyIdentity identity = identity_of(*from_hex(vector.key));
    const Bytes body = *from_hex(vector.slot);
    const auto key = identity.unwrap({3, body}, {id, {}});
    ASSERT_TRUE(key.ok()) << key.error().message;
    ASSERT_TRUE(key.value());
    EXPECT_EQ(to_hex(key.value()->view()),
              "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    const PublicKeySlot slot = PublicKeySlot::parse(body).value();
    EXPECT_EQ(slot.label, vector.label);
    EXPECT_EQ(slot.serialize(), body);
  }
}

}  // namespace
}  // namespace ckptseal
