// SPDX-License-Identifier: Apache-2.0
//
// TPM slots: one encoding, and what an identity makes of each kind of slot. docs/format.md,
// "Slots".
#include "keymgr/tpm2/slot.h"

#include <gtest/gtest.h>

#include <optional>

#include "ecc_area.h"
#include "fake_tpm.h"
#include "keymgr/tpm2/ecdh_p256.h"
#include "keymgr/tpm2/tpm_identity.h"

namespace ckptseal {
namespace {

constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

// Where the parts of a slot with three PCRs start.
constexpr std::size_t form_at = 66;
constexpr std::size_t mask_at = 67;
constexpr std::size_t values_at = 71;
constexpr std::size_t public_at = values_at + std::size_t{3} * 32;
constexpr std::size_t duplicate_at = public_at + 2 + 78;
constexpr std::size_t seed_at = duplicate_at + 2 + 108;
constexpr std::size_t slot_size = seed_at + 2 + 68;

TpmPublic new_parent() {
  const Secret scalar = random_p256_scalar().value();
  const EcPoint point = p256_public_point(scalar).value();
  return TpmPublic::parse(test::storage_area(point).marshal()).value();
}

PcrValues approved_pcrs() {
  return {PcrSelection::parse("0,4,7").value(),
          {Sha256::of(as_bytes("0")), Sha256::of(as_bytes("4")), Sha256::of(as_bytes("7"))}};
}

Policy of_pcrs(const PcrValues& values) { return {{PcrTerm{values}}}; }

class SlotTest : public testing::Test {
 protected:
  SlotTest() {
    Tpm2Recipient recipient(parent, of_pcrs(approved_pcrs()), host);
    body = recipient.wrap(data_key, some_checkpoint).value();
    tpm.set_pcrs(approved_pcrs());
    tpm.hold(Tpm2Slot::parse(body.bytes, some_checkpoint).value().object, data_key.view());
  }

  Result<std::optional<Secret>> unwrap(const SlotBody& slot) {
    return Tpm2Identity(tpm, parent.name()).unwrap(slot, some_checkpoint);
  }
  Error refusal(const SlotBody& slot) {
    const auto out = unwrap(slot);
    EXPECT_FALSE(out.ok());
    return out.ok() ? Error{} : out.error();
  }
  // Parses after `change` of the bytes.
  template <typename Change>
  void expect_refused(Change change) {
    Bytes bytes = body.bytes;
    change(bytes);
    const Result<Tpm2Slot> slot = Tpm2Slot::parse(bytes, some_checkpoint);
    ASSERT_FALSE(slot.ok());
    EXPECT_EQ(slot.error().code, Code::integrity) << slot.error().message;
  }

  TpmPublic parent = new_parent();
  Digest host = Sha256::of(as_bytes("host"));
  Secret data_key = random_secret(data_key_size).value();
  SlotBody body;
  test::FakeTpm tpm;
};

TEST_F(SlotTest, HasTheLayoutOfTheFormat) {
  EXPECT_EQ(body.kind, 1U);
  ASSERT_EQ(body.bytes.size(), slot_size);
  const Tpm2Slot slot = Tpm2Slot::parse(body.bytes, some_checkpoint).value();
  EXPECT_EQ(slot.recipient, host);
  EXPECT_EQ(slot.parent, parent.name());
  ASSERT_EQ(slot.policy.terms.size(), 1U);
  const PcrValues& pcrs = std::get<PcrTerm>(slot.policy.terms.front()).pcrs;
  EXPECT_EQ(pcrs.selection.text(), "sha256:0,4,7");
  EXPECT_EQ(pcrs.values, approved_pcrs().values);
  EXPECT_EQ(to_hex(ByteView(body.bytes).subspan(form_at, 5)), "0100000091");
  EXPECT_EQ(to_hex(ByteView(body.bytes).subspan(public_at, 10)), "004e0008000b00000480");
  EXPECT_EQ(to_hex(ByteView(body.bytes).subspan(seed_at, 4)), "00440020");
}

TEST_F(SlotTest, ParsingAndSerializingGiveTheSameBytes) {
  EXPECT_EQ(Tpm2Slot::parse(body.bytes, some_checkpoint).value().serialize(), body.bytes);
  // Whatever byte is changed: what still parses is written again as it was read.
  for (std::size_t at = 0; at < body.bytes.size(); ++at) {
    Bytes changed = body.bytes;
    changed[at] ^= 1;
    const Result<Tpm2Slot> slot = Tpm2Slot::parse(changed, some_checkpoint);
    if (slot.ok()) {
      EXPECT_EQ(slot.value().serialize(), changed) << at;
    }
  }
}

TEST_F(SlotTest, EveryCutAndAnyTailIsRefused) {
  for (std::size_t size = 0; size < slot_size; ++size) {
    expect_refused([size](Bytes& bytes) { bytes.resize(size); });
  }
  expect_refused([](Bytes& bytes) { bytes.push_back(0); });
}

TEST_F(SlotTest, ThePolicyIsTheOneOfTheValues) {
  expect_refused([](Bytes& bytes) { bytes[values_at] ^= 1; });
  expect_refused([](Bytes& bytes) { bytes[values_at + 95] ^= 1; });
  expect_refused([](Bytes& bytes) { bytes[mask_at + 3] = 0x89; });  // PCR 3 in place of 4
  expect_refused([](Bytes& bytes) { bytes[public_at + 2 + 10] ^= 1; });
}

TEST_F(SlotTest, TheMaskIsASelection) {
  expect_refused([](Bytes& bytes) { bytes[mask_at] = 1; });      // PCR 24
  expect_refused([](Bytes& bytes) { bytes[mask_at + 3] = 0; });  // none
  expect_refused([](Bytes& bytes) { bytes[mask_at + 2] = 4, bytes[mask_at + 3] = 0x11; });  // 10
}

TEST_F(SlotTest, LengthsAreFixed) {
  for (const std::size_t at : {public_at, duplicate_at, seed_at}) {
    expect_refused([at](Bytes& bytes) { bytes[at] = 0xff; });
    expect_refused([at](Bytes& bytes) { bytes[at + 1] += 1; });
    expect_refused([at](Bytes& bytes) { bytes[at + 1] -= 1; });
  }
  // A TPM ignores what stands behind these structures, and all the rest fits.
  const Tpm2Slot whole = Tpm2Slot::parse(body.bytes, some_checkpoint).value();
  for (Bytes SealedObject::*part :
       {&SealedObject::public_area, &SealedObject::duplicate, &SealedObject::seed}) {
    for (const std::ptrdiff_t by : {-1, 1, 256}) {
      Tpm2Slot slot = whole;
      Bytes& bytes = slot.object.*part;
      bytes.resize(bytes.size() + static_cast<std::size_t>(by));
      EXPECT_FALSE(Tpm2Slot::parse(slot.serialize(), some_checkpoint).ok()) << by;
    }
    Tpm2Slot slot = whole;
    (slot.object.*part).clear();
    EXPECT_FALSE(Tpm2Slot::parse(slot.serialize(), some_checkpoint).ok());
  }
}

// Whatever stands behind it.
TEST_F(SlotTest, ANewerPolicyFormIsNamed) {
  for (const std::uint8_t form : Bytes{0, 3, 4, 255}) {
    body.bytes[form_at] = form;
    for (const std::size_t size : {mask_at, values_at, slot_size}) {
      const ByteView front = ByteView(body.bytes).first(size);
      const Error error = refusal({1, Bytes(front.begin(), front.end())});
      EXPECT_EQ(error.code, Code::no_slot) << size;
      EXPECT_NE(error.message.find("newer ckpt-seal"), std::string::npos) << error.message;
    }
  }
  // Of another host it is none of our business.
  body.bytes[32 + 5] ^= 1;
  const auto skipped = unwrap(body);
  ASSERT_TRUE(skipped.ok());
  EXPECT_FALSE(skipped.value());
}

TEST_F(SlotTest, TheIdentityUnwrapsItsOwn) {
  const auto key = unwrap(body);
  ASSERT_TRUE(key.ok()) << key.error().message;
  ASSERT_TRUE(key.value());
  EXPECT_TRUE(equal_constant_time(key.value()->view(), data_key.view()));
}

TEST_F(SlotTest, TheIdentitySkipsWhatIsNotItsOwn) {
  SlotBody other_kind = body;
  other_kind.kind = 2;
  SlotBody other_host = body;
  other_host.bytes[32 + 33] ^= 1;  // the last byte of the Name
  for (const SlotBody& slot : {other_kind, other_host}) {
    const auto key = unwrap(slot);
    ASSERT_TRUE(key.ok()) << key.error().message;
    EXPECT_FALSE(key.value());
  }
  EXPECT_EQ(tpm.unseal_calls, 0);
}

TEST_F(SlotTest, ADamagedSlotNeverReachesTheTpm) {
  SlotBody damaged = body;
  damaged.bytes.pop_back();
  EXPECT_EQ(refusal(damaged).code, Code::integrity);
  damaged.bytes.resize(65);
  EXPECT_EQ(refusal(damaged).code, Code::integrity);
  EXPECT_EQ(tpm.unseal_calls, 0);
}

// Another slot would have to wait for it again.
TEST_F(SlotTest, ATpmThatIsGoneIsNotAskedAgain) {
  Tpm2Identity identity(tpm, parent.name());
  tpm.fail_with(Error{Code::unavailable, "Gone.", 8});
  EXPECT_EQ(identity.unwrap(body, some_checkpoint).error().code, Code::unavailable);
  EXPECT_EQ(tpm.unseal_calls, 1);
  tpm.fail_with(std::nullopt);
  const auto again = identity.unwrap(body, some_checkpoint);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Code::unavailable);
  EXPECT_EQ(tpm.unseal_calls, 1);
  EXPECT_TRUE(Tpm2Identity(tpm, parent.name()).unwrap(body, some_checkpoint).ok()) << "the twin";
}

// docs/format.md, "Suites": the key would go to another host.
TEST_F(SlotTest, AnExclusiveSlotDoesNotMigrate) {
  constexpr Checkpoint exclusive{some_checkpoint.id, {}, true};
  const EcPoint authority = p256_public_point(random_p256_scalar().value()).value();
  const ApprovalTerm restore{ApprovalPurpose::restore, authority, "fleet"};
  const ApprovalTerm migrate{ApprovalPurpose::migrate, authority, "fleet"};
  const Policy both{{AnyTerm{{Policy{{restore}}, Policy{{migrate}}}}}};
  const Policy deep{{AnyTerm{{both, of_pcrs(approved_pcrs())}}}};
  for (const Policy& policy : {Policy{{migrate}}, both, deep}) {
    Tpm2Recipient recipient(parent, policy, host);
    const auto refused = recipient.wrap(data_key, exclusive);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::usage);
    const SlotBody slot = recipient.wrap(data_key, some_checkpoint).value();
    EXPECT_TRUE(Tpm2Slot::parse(slot.bytes, some_checkpoint).ok());
    const Result<Tpm2Slot> parsed = Tpm2Slot::parse(slot.bytes, exclusive);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, Code::integrity);
  }
  for (const Policy& policy : {Policy{{restore}}, of_pcrs(approved_pcrs())}) {
    const SlotBody slot = Tpm2Recipient(parent, policy, host).wrap(data_key, exclusive).value();
    EXPECT_TRUE(Tpm2Slot::parse(slot.bytes, exclusive).ok());
  }
}

// A TPM that counts wrong PINs, and what a run asks of it.
class PinSlotTest : public SlotTest {
 protected:
  class Counting : public test::FakeTpm {
   public:
    Result<Secret> unseal(const SealedObject& object, const PolicyRun& run) override {
      if (run.pin == nullptr || answer.code == Code{}) return FakeTpm::unseal(object, run);
      ++wrong_pins;
      return answer;
    }
    Error answer{Code::policy, "Wrong.", 0x98e};  // TPM_RC_AUTH_FAIL
    int wrong_pins = 0;
  };

  PinSlotTest() {
    PcrTerm pcrs{approved_pcrs()};
    auto pin = std::make_shared<Secret>(Secret::copy_of(as_bytes("2468")).value());
    Tpm2Recipient recipient(parent, Policy{{pcrs, PinTerm{}}}, host, pin);
    with_pin = recipient.wrap(data_key, some_checkpoint).value();
    counting.set_pcrs(approved_pcrs());
    for (const SlotBody& slot : {body, with_pin}) {
      counting.hold(Tpm2Slot::parse(slot.bytes, some_checkpoint).value().object, data_key.view());
    }
    ReleaseHelp help;
    help.pin = [this]() -> Result<Secret> {
      ++asked;
      return Secret::copy_of(as_bytes("1357"));
    };
    identity.emplace(counting, parent.name(), help);
  }
  Code try_slot(const SlotBody& slot) {
    const auto key = identity->unwrap(slot, some_checkpoint);
    return key.ok() ? Code{} : key.error().code;
  }

  Counting counting;
  SlotBody with_pin;
  int asked = 0;
  std::optional<Tpm2Identity> identity;
};

TEST_F(PinSlotTest, AWrongPinIsTriedOnce) {
  EXPECT_EQ(try_slot(with_pin), Code::policy);
  EXPECT_EQ(try_slot(with_pin), Code::policy);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(counting.wrong_pins, 1);
  EXPECT_EQ(try_slot(body), Code{}) << "a slot without one opens behind it";
}

TEST_F(PinSlotTest, ATpmThatIsLockedIsAskedForNoPinAgain) {
  counting.answer = Error{Code::locked, "Locked.", 0x921};
  EXPECT_EQ(try_slot(with_pin), Code::locked);
  EXPECT_EQ(try_slot(with_pin), Code::locked);
  EXPECT_EQ(counting.wrong_pins, 1);
  EXPECT_EQ(try_slot(body), Code{});
}

TEST_F(PinSlotTest, ARightPinIsAskedForOnce) {
  counting.answer.code = Code{};
  EXPECT_EQ(try_slot(with_pin), Code{});
  EXPECT_EQ(try_slot(with_pin), Code{});
  EXPECT_EQ(asked, 1);
}

TEST_F(SlotTest, ThePcrsThatDifferAreNamed) {
  tpm.set_pcr(4, Digest{1});
  Error error = refusal(body);
  EXPECT_EQ(error.code, Code::policy);
  EXPECT_EQ(error.cause, 0x99dU);
  EXPECT_NE(error.message.find(": PCR 4 (boot loader) differs;"), std::string::npos)
      << error.message;
  EXPECT_NE(error.message.find("recovery passphrase"), std::string::npos);

  tpm.set_pcr(7, Digest{1});
  EXPECT_NE(refusal(body).message.find(": PCR 4 (boot loader) and 7 (Secure Boot) differ;"),
            std::string::npos);
  tpm.set_pcr(0, Digest{1});
  error = refusal(body);
  EXPECT_NE(error.message.find(": PCR 0 (firmware), 4 (boot loader) and 7 (Secure Boot) differ;"),
            std::string::npos)
      << error.message;
}

TEST_F(SlotTest, ARefusalStaysOneWhenThePcrsCannotBeRead) {
  tpm.set_pcr(4, Digest{1});
  tpm.fail_reading_with(Error{Code::unavailable, "Gone.", 0});
  EXPECT_EQ(refusal(body).code, Code::policy);
}

TEST_F(SlotTest, ARefusalWithoutADifferenceSaysTryAgain) {
  Tpm2Slot slot = Tpm2Slot::parse(body.bytes, some_checkpoint).value();
  class Changing : public test::FakeTpm {
    Result<Secret> unseal(const SealedObject&, const PolicyRun&) override {
      return Error{Code::policy, "Refused.", 0x128};
    }
  } changing;
  changing.set_pcrs(approved_pcrs());
  const auto out = Tpm2Identity(changing, parent.name()).unwrap(body, some_checkpoint);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::policy);
  EXPECT_NE(out.error().message.find("try again"), std::string::npos) << out.error().message;
}

TEST_F(SlotTest, AKeyWhosePcrCannotBeCappedIsNotUsed) {
  ReleaseHelp help;
  help.cap_pcr = 7;
  Tpm2Identity identity(tpm, parent.name(), help);
  EXPECT_EQ(identity.before_use().error().code, Code::usage) << "it came without the TPM";
  ASSERT_TRUE(identity.unwrap(body, some_checkpoint).ok());
  tpm.fail_capping_with(Error{Code::unavailable, "Gone.", 8});
  EXPECT_EQ(identity.before_use().error().code, Code::unavailable);
  tpm.fail_capping_with({});
  // What is not used caps nothing.
  EXPECT_TRUE(identity.unwrap(body, some_checkpoint).ok());
  EXPECT_TRUE(identity.before_use().ok());
  EXPECT_EQ(identity.unwrap(body, some_checkpoint).error().code, Code::policy);
}

TEST_F(SlotTest, OtherFailuresPassThrough) {
  for (const Code code : {Code::integrity, Code::locked, Code::unavailable}) {
    tpm.fail_with(Error{code, "As it was said.", 42});
    const Error error = refusal(body);
    EXPECT_EQ(error.code, code);
    EXPECT_EQ(error.message, "As it was said.");
  }
}

TEST_F(SlotTest, WhatIsNoDataKeyIsRefused) {
  test::FakeTpm other;
  other.set_pcrs(approved_pcrs());
  other.hold(Tpm2Slot::parse(body.bytes, some_checkpoint).value().object, Bytes(31, 7));
  const auto out = Tpm2Identity(other, parent.name()).unwrap(body, some_checkpoint);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::integrity);
}

// Of that host with that policy: after an update it needs another slot beside the one it has.
TEST_F(SlotTest, ARecipientOwnsTheSlotsThatSayTheSame) {
  const Policy policy = of_pcrs(approved_pcrs());
  EXPECT_TRUE(Tpm2Recipient(parent, policy, host).owns(body));
  PcrValues updated = approved_pcrs();
  updated.values[2][31] ^= 1;
  EXPECT_FALSE(Tpm2Recipient(parent, of_pcrs(updated), host).owns(body));
  EXPECT_FALSE(Tpm2Recipient(parent, policy, Sha256::of(as_bytes("another"))).owns(body));
  EXPECT_FALSE(Tpm2Recipient(new_parent(), policy, host).owns(body));
  SlotBody other = body;
  other.kind = 2;
  EXPECT_FALSE(Tpm2Recipient(parent, policy, host).owns(other));
  other = body;
  other.bytes.resize(form_at);
  EXPECT_FALSE(Tpm2Recipient(parent, policy, host).owns(other));
}

TEST_F(SlotTest, TheRecipientRefusesAnIncompleteRecord) {
  PcrValues incomplete = approved_pcrs();
  incomplete.values.pop_back();
  EXPECT_FALSE(
      Tpm2Recipient(parent, of_pcrs(incomplete), host).wrap(data_key, some_checkpoint).ok());
  EXPECT_FALSE(Tpm2Recipient(parent, of_pcrs({}), host).wrap(data_key, some_checkpoint).ok());
  const TpmPublic signer = TpmPublic::parse(test::ecdsa_area(0x00040472).marshal()).value();
  EXPECT_FALSE(
      Tpm2Recipient(signer, of_pcrs(approved_pcrs()), host).wrap(data_key, some_checkpoint).ok());
  const Secret short_key = random_secret(16).value();
  EXPECT_FALSE(
      Tpm2Recipient(parent, of_pcrs(approved_pcrs()), host).wrap(short_key, some_checkpoint).ok());
}

}  // namespace
}  // namespace ckptseal
