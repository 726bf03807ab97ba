// SPDX-License-Identifier: Apache-2.0
//
// Passphrase slots at the least cost there is. docs/format.md, "Slots".
#include "keymgr/passphrase/passphrase.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ckptseal {
namespace {

constexpr Argon2Cost cheap{64, 1, 4};
constexpr std::uint32_t enough_kib = 1024;

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

// Where the parts start.
constexpr std::size_t salt_at = 1;
constexpr std::size_t memory_at = 17;
constexpr std::size_t passes_at = 21;
constexpr std::size_t lanes_at = 25;
constexpr std::size_t wrapped_at = 29;
constexpr std::size_t tag_at = 61;
constexpr std::size_t slot_size = 77;

Secret text(std::string_view passphrase) { return Secret::copy_of(as_bytes(passphrase)).value(); }

Secret empty_passphrase() {
  Secret out = text("x");
  out.shrink(0);
  return out;
}

Result<std::optional<Secret>> unwrap(const SlotBody& slot, std::string_view passphrase,
                                     const Checkpoint& of = some_checkpoint,
                                     std::uint32_t limit = enough_kib) {
  return PassphraseIdentity(text(passphrase), limit).unwrap(slot, of);
}

void put_u32(Bytes& bytes, std::size_t at, std::uint32_t value) {
  const Bytes number = ByteWriter().u32(value).take();
  std::copy(number.begin(), number.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

class PassphraseTest : public testing::Test {
 protected:
  PassphraseTest()
      : body(PassphraseRecipient(text("correct horse"), cheap)
                 .wrap(data_key, some_checkpoint)
                 .value()) {}

  void expect_refused(std::size_t at, std::uint32_t value, Code code) {
    SlotBody changed = body;
    put_u32(changed.bytes, at, value);
    const auto out = unwrap(changed, "correct horse");
    ASSERT_FALSE(out.ok()) << at << " " << value;
    EXPECT_EQ(out.error().code, code) << out.error().message;
  }

  Secret data_key = random_secret(data_key_size).value();
  SlotBody body;
};

TEST_F(PassphraseTest, OpensWithThePassphrase) {
  EXPECT_EQ(body.kind, 2U);
  EXPECT_EQ(body.bytes.size(), slot_size);
  const auto key = unwrap(body, "correct horse");
  ASSERT_TRUE(key.ok()) << key.error().message;
  ASSERT_TRUE(key.value());
  EXPECT_TRUE(equal_constant_time(key.value()->view(), data_key.view()));
}

TEST_F(PassphraseTest, OpensWithNoOther) {
  for (const char* other : {"correct horsf", "Correct horse", "correct horse ", "c"}) {
    const auto key = unwrap(body, other);
    ASSERT_FALSE(key.ok()) << other;
    EXPECT_EQ(key.error().code, Code::policy);
  }
}

TEST_F(PassphraseTest, OpensInNoOtherCheckpoint) {
  const auto key = unwrap(body, "correct horse", Checkpoint{{1, 2, 4}, {}});
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::policy);
}

// Made with argon2-cffi and python3-cryptography: salt 00 to 0f, 64 KiB, three passes, four lanes.
TEST_F(PassphraseTest, KnownAnswer) {
  const SlotBody slot = {
      2, *from_hex("01000102030405060708090a0b0c0d0e0f000000400000000300000004f822e8d0c8eb5b782834"
                   "090235b9b58cd12a18b86d268d9016d05f9790fd9b52a106b946e77097387a6868af26d08bac")};
  CheckpointId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(0x40 + i);
  const auto key = unwrap(slot, "correct horse", {id, {}});
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(to_hex(key.value()->view()),
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
}

TEST_F(PassphraseTest, EveryFlippedByteIsRefused) {
  for (std::size_t at = 0; at < slot_size; ++at) {
    SlotBody changed = body;
    changed.bytes[at] ^= 1;
    const auto key = unwrap(changed, "correct horse");
    ASSERT_FALSE(key.ok()) << at;
    const bool is_secret = (at >= salt_at && at < memory_at) || at >= wrapped_at;
    if (is_secret) {
      EXPECT_EQ(key.error().code, Code::policy) << at;
    }
  }
}

TEST_F(PassphraseTest, EveryCutAndAnyTailIsRefused) {
  for (std::size_t size = 0; size < slot_size; ++size) {
    EXPECT_EQ(PassphraseSlot::parse(ByteView(body.bytes).first(size)).error().code,
              Code::integrity);
  }
  body.bytes.push_back(0);
  EXPECT_EQ(PassphraseSlot::parse(body.bytes).error().code, Code::integrity);
}

TEST_F(PassphraseTest, ParsingAndSerializingGiveTheSameBytes) {
  EXPECT_EQ(PassphraseSlot::parse(body.bytes).value().serialize(), body.bytes);
}

TEST_F(PassphraseTest, CostsAreBounded) {
  expect_refused(memory_at, 31, Code::integrity);  // 8 * 4 lanes
  expect_refused(memory_at, 4194305, Code::integrity);
  expect_refused(memory_at, 0xffffffff, Code::integrity);
  expect_refused(passes_at, 0, Code::integrity);
  expect_refused(passes_at, 17, Code::integrity);
  expect_refused(lanes_at, 0, Code::integrity);
  expect_refused(lanes_at, 17, Code::integrity);
  expect_refused(lanes_at, 0x20000001, Code::integrity);  // 8 * lanes overflows
  // The bounds themselves are within.
  expect_refused(memory_at, 32, Code::policy);
  expect_refused(memory_at, 4194304, Code::failed);  // for the limit of memory
  expect_refused(passes_at, 16, Code::policy);
  expect_refused(lanes_at, 8, Code::policy);
}

// Whatever stands behind its number.
TEST_F(PassphraseTest, ANewerDerivationIsNamed) {
  for (const std::uint8_t kdf : Bytes{0, 2, 255}) {
    body.bytes[0] = kdf;
    for (const Bytes& bytes : {body.bytes, Bytes{kdf}, Bytes(5000, kdf)}) {
      const auto key = unwrap({2, bytes}, "correct horse");
      ASSERT_FALSE(key.ok());
      EXPECT_EQ(key.error().code, Code::no_slot);
      EXPECT_NE(key.error().message.find("newer ckpt-seal"), std::string::npos);
    }
  }
}

TEST_F(PassphraseTest, TheNeedForMemoryIsNamed) {
  put_u32(body.bytes, memory_at, 2 << 20);
  const auto key = unwrap(body, "correct horse", some_checkpoint, 1 << 20);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::failed);
  for (const char* word : {"2048 MiB", "1024 MiB", "--max-memory"}) {
    EXPECT_NE(key.error().message.find(word), std::string::npos) << key.error().message;
  }
  // Exactly the limit is allowed.
  put_u32(body.bytes, memory_at, 65);
  EXPECT_EQ(unwrap(body, "correct horse", some_checkpoint, 64).error().code, Code::failed);
  EXPECT_EQ(unwrap(body, "correct horse", some_checkpoint, 65).error().code, Code::policy);
}

// docs/format.md, "Which slot opens": whoever made the file may have put many slots there.
class PassphraseWork : public PassphraseTest {
 protected:
  SlotBody with_cost(std::uint32_t memory, std::uint32_t passes, std::uint32_t lanes) const {
    SlotBody out = body;
    put_u32(out.bytes, memory_at, memory);
    put_u32(out.bytes, passes_at, passes);
    put_u32(out.bytes, lanes_at, lanes);
    return out;
  }
  // One derivation with a passphrase that is not right for it.
  Code try_slot(std::uint32_t memory, std::uint32_t passes, std::uint32_t lanes = 1) {
    const auto key = identity.unwrap(with_cost(memory, passes, lanes), some_checkpoint);
    EXPECT_FALSE(key.ok());
    return key.ok() ? Code{} : key.error().code;
  }

  PassphraseIdentity identity{text("wrong horse"), 64};  // 16 * 64 KiB in all
};

TEST_F(PassphraseWork, HasALimitOverAllSlots) {
  for (int i = 0; i < 16; ++i) EXPECT_EQ(try_slot(64, 1), Code::policy) << i;
  EXPECT_EQ(try_slot(64, 1), Code::failed);
  EXPECT_EQ(try_slot(32, 1), Code::failed);
}

TEST_F(PassphraseWork, IsMemoryTimesPasses) {
  EXPECT_EQ(try_slot(64, 16), Code::policy) << "all of it at once";
  EXPECT_EQ(try_slot(32, 1), Code::failed);
}

TEST_F(PassphraseWork, LanesCostAsMuchAs64KiBEach) {
  EXPECT_EQ(try_slot(32, 2, 4), Code::policy);  // 512 KiB
  EXPECT_EQ(try_slot(32, 7, 1), Code::policy);  // 448
  EXPECT_EQ(try_slot(32, 1, 2), Code::failed);
  EXPECT_EQ(try_slot(8, 1, 1), Code::policy);
  EXPECT_EQ(try_slot(8, 1, 1), Code::failed);
}

TEST_F(PassphraseWork, WhatIsNotDoneDoesNotCount) {
  EXPECT_EQ(try_slot(64, 15), Code::policy);
  EXPECT_EQ(try_slot(65, 1), Code::failed) << "too much memory";
  EXPECT_EQ(try_slot(64, 2), Code::failed) << "too much work";
  EXPECT_EQ(try_slot(64, 17), Code::integrity) << "not as the page says";
  EXPECT_EQ(try_slot(7, 1), Code::integrity);
  SlotBody other = body;
  other.kind = 1;
  EXPECT_FALSE(identity.unwrap(other, some_checkpoint).value());
  EXPECT_EQ(try_slot(64, 1), Code::policy) << "as much as was left";
  EXPECT_EQ(try_slot(32, 1), Code::failed);
}

TEST_F(PassphraseWork, ASlotThatOpensIsWorkToo) {
  PassphraseIdentity right(text("correct horse"), 64);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(right.unwrap(body, some_checkpoint).ok()) << i;
  const auto key = right.unwrap(body, some_checkpoint);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::failed);
  EXPECT_NE(key.error().message.find("--max-memory"), std::string::npos) << key.error().message;
}

TEST_F(PassphraseTest, OtherKindsAreSkipped) {
  body.kind = 1;
  const auto key = unwrap(body, "correct horse");
  ASSERT_TRUE(key.ok());
  EXPECT_FALSE(key.value());
}

TEST_F(PassphraseTest, AnEmptyPassphraseIsRefused) {
  const auto slot = PassphraseRecipient(empty_passphrase(), cheap).wrap(data_key, some_checkpoint);
  ASSERT_FALSE(slot.ok());
  EXPECT_EQ(slot.error().code, Code::usage);
  const auto key = PassphraseIdentity(empty_passphrase(), enough_kib).unwrap(body, some_checkpoint);
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Code::usage);
}

TEST_F(PassphraseTest, ALongPassphraseIsRefused) {
  const std::string longest(1024, 'x');
  const auto slot = PassphraseRecipient(text(longest), cheap).wrap(data_key, some_checkpoint);
  ASSERT_TRUE(slot.ok());
  EXPECT_TRUE(unwrap(slot.value(), longest).ok());
  const auto refused =
      PassphraseRecipient(text(longest + "x"), cheap).wrap(data_key, some_checkpoint);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::usage);
}

TEST_F(PassphraseTest, TheRecipientRefusesWhatItCannotMake) {
  for (const Argon2Cost& cost : {Argon2Cost{31, 1, 4}, Argon2Cost{64, 0, 4}, Argon2Cost{64, 1, 0},
                                 Argon2Cost{64, 17, 4}, Argon2Cost{1024, 1, 17}}) {
    const auto slot = PassphraseRecipient(text("x"), cost).wrap(data_key, some_checkpoint);
    ASSERT_FALSE(slot.ok());
    EXPECT_EQ(slot.error().code, Code::usage);
  }
  EXPECT_FALSE(
      PassphraseRecipient(text("x"), cheap).wrap(random_secret(31).value(), some_checkpoint).ok());
}

TEST_F(PassphraseTest, EachSlotHasASaltOfItsOwn) {
  const SlotBody again =
      PassphraseRecipient(text("correct horse"), cheap).wrap(data_key, some_checkpoint).value();
  const auto salt = [](const SlotBody& slot) {
    return to_hex(ByteView(slot.bytes).subspan(salt_at, 16));
  };
  EXPECT_NE(salt(again), salt(body));
  EXPECT_NE(to_hex(ByteView(again.bytes).subspan(wrapped_at, 32)),
            to_hex(ByteView(body.bytes).subspan(wrapped_at, 32)));
  EXPECT_NE(to_hex(ByteView(again.bytes).subspan(tag_at)),
            to_hex(ByteView(body.bytes).subspan(tag_at)));
}

TEST(PassphraseCost, FollowsTheMachine) {
  constexpr std::uint64_t mib = 1 << 20;
  EXPECT_EQ(recommended_cost(16384 * mib), (Argon2Cost{256 * 1024, 3, 4}));
  EXPECT_EQ(recommended_cost(512 * mib), (Argon2Cost{256 * 1024, 3, 4}));
  EXPECT_EQ(recommended_cost(256 * mib), (Argon2Cost{128 * 1024, 3, 4}));
  EXPECT_EQ(recommended_cost(0), (Argon2Cost{32, 3, 4}));

  EXPECT_EQ(default_memory_limit_kib(16384 * mib), 1024U * 1024);
  EXPECT_EQ(default_memory_limit_kib(2048 * mib), 1024U * 1024);
  EXPECT_EQ(default_memory_limit_kib(1024 * mib), 512U * 1024);
  EXPECT_EQ(default_memory_limit_kib(~std::uint64_t{0}), 1024U * 1024);
  // A new slot opens on the machine that made it.
  for (const std::uint64_t memory : {128 * mib, 512 * mib, 4096 * mib, 65536 * mib}) {
    EXPECT_LE(recommended_cost(memory).memory_kib, default_memory_limit_kib(memory));
  }
}

}  // namespace
}  // namespace ckptseal
