// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Slots": who vouches for a slot, and what becomes of those that somebody put
// there who may not.
#include "vouching.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::Forge;
using test::read_bytes;
using test::ReadSettings;
using test::trusting;
using test::VouchingTest;
using test::with_header_copies;

class AddedSlotTest : public VouchingTest {
 protected:
  // As carol, with a slot for her behind the others, in a change that the origin signed.
  Result<test::Contents> read_as_carol(const Slot& slot, const ReadSettings& settings,
                                       std::uint64_t generation = 2) {
    std::vector<Slot> slots = first;
    slots.push_back(slot);
    forge.change_slots(slots, generation, &origin);
    return read_bytes(forge.build(nullptr), as("carol", settings));
  }

  const std::vector<Slot> first = forge.header.slots;
  const ReadSettings both = trusting({&origin, &helper});
};

TEST_F(AddedSlotTest, NeedsTrustInItsAdder) {
  const Slot slot = forge.slot_for("carol", &helper, 2);
  const Result<test::Contents> contents = read_as_carol(slot, both);
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().slot, 2U);
  expect_code(read_as_carol(slot, trusting(origin)), Code::untrusted, "an adder nobody trusts");
  expect_code(read_as_carol(slot, lenient(trusting(origin))), Code::untrusted,
              "it is not unsigned");
  EXPECT_TRUE(read_as_carol(forge.slot_for("carol", &origin, 2), trusting(origin)).ok())
      << "the origin is trusted anyway";
}

TEST_F(AddedSlotTest, NeedsTheSignatureOfItsAdder) {
  const Slot right = forge.slot_for("carol", &helper, 2);
  Slot wrong = right;
  wrong.adder->generation = 3;
  expect_code(read_as_carol(wrong, both, 3), Code::integrity, "another generation");
  wrong = right;
  wrong.adder->time += 1;
  expect_code(read_as_carol(wrong, both), Code::integrity, "another time");
  wrong = forge.slot_for("carol", &stranger, 2);
  wrong.adder->host = helper.identity();
  expect_code(read_as_carol(wrong, both), Code::integrity, "a stranger in the name of another");
  wrong = right;
  wrong.adder->host = origin.identity();
  expect_code(read_as_carol(wrong, both), Code::integrity, "in the name of the origin");
  wrong = right;
  wrong.adder->signature = forge.slot_for("dave", &helper, 2).adder->signature;
  expect_code(read_as_carol(wrong, both), Code::integrity, "of another slot");
  wrong = right;
  wrong.adder.reset();
  expect_code(read_as_carol(wrong, both), Code::integrity, "as from the origin at sealing");
}

TEST_F(AddedSlotTest, OfAnotherFileIsForged) {
  const Bytes other = sealed();
  const Forge sibling(other, "alice");
  Slot slot = forge.slot_for("carol");
  slot.adder = sibling.slot_for("carol", &helper, 2).adder;
  expect_code(read_as_carol(slot, both), Code::integrity, "its signature is for another file");
}

TEST_F(AddedSlotTest, UnsignedIsAllowedOrNot) {
  const Slot slot = forge.slot_for("carol", nullptr, 2);
  expect_code(read_as_carol(slot, both), Code::untrusted, "unsigned");
  EXPECT_TRUE(read_as_carol(slot, lenient(both)).ok());
}

TEST_F(AddedSlotTest, ItsAdderMayHaveExpiredSince) {
  const DoubleOrigin expiring("host-b", 1767300000);
  const ReadSettings settings = trusting({&origin, &expiring});
  EXPECT_TRUE(read_as_carol(forge.slot_for("carol", &expiring, 2, 1767299999), settings).ok());
  Slot late = forge.slot_for("carol", &expiring, 2, 1767300000);
  expect_code(read_as_carol(late, settings), Code::untrusted, "expired when it was added");
  late.adder->time = 1767299999;
  expect_code(read_as_carol(late, settings), Code::integrity, "a time that was not signed");
}

// Others open it all the same.
TEST_F(AddedSlotTest, AForgedOneKeepsNobodyElseOut) {
  forge.change_slots({forge.slot_for("eve"), first[0], first[1]}, 2, &origin);
  const Result<test::Contents> contents = read(trusting(origin));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().slot, 1U);
  EXPECT_EQ(contents.value().skipped.size(), 1U);
}

// A slot from the sealing that was removed is vouched for again, once somebody who may puts it
// back: its digest stands in the list for ever.
TEST_F(AddedSlotTest, WhatWasThereAtTheSealingIsVouchedFor) {
  forge.change_slots({first[0]}, 2, &origin);
  forge.change_slots({first[1], first[0]}, 3, &helper);
  const Result<test::Contents> contents = read(as("bob", both));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().slot, 0U);
}

// An attack that was: whoever stores the file puts slots in front, and each costs the reader a
// passphrase, a PIN or a TPM's attempt. Nothing is asked of any identity.
class ForeignSlotsTest : public VouchingTest {
 protected:
  // How often identities were asked, and what came of it.
  Result<test::Contents> read_watched(const Bytes& bytes, const ReadSettings& settings) {
    asked.clear();
    test::Identities identities;
    identities.push_back(std::make_unique<test::WatchedIdentity>(
        std::make_unique<test::DoubleIdentity>("alice"), asked));
    const UniqueFd fd = test::memory_file(bytes);
    return read_sealed_with(fd.get(), settings, identities);
  }
  std::vector<SlotBody> asked;
  const Secret no_key = std::move(Secret::copy_of(Bytes(32, 1))).value();
};

TEST_F(ForeignSlotsTest, AskNobodyWithoutTheDataKey) {
  // Room for as many as an attacker could want.
  test::Sample sample;
  sample.origin = &origin;
  for (int i = 0; i < 60; ++i) sample.words.push_back("padding " + std::to_string(i));
  const Bytes large = seal(sample);
  Forge attack(large, "alice");
  std::vector<Slot> slots(41, attack.header.slots[0]);
  for (std::size_t i = 0; i < 40; ++i) slots[i] = forge.slot_for("eve " + std::to_string(i));
  const auto with = [&](std::uint64_t generation, const DoubleOrigin* changer) {
    attack.change_slots(slots, generation, changer);
    if (generation == 1) attack.header.change.reset();
    const Bytes block = attack.header.serialize(no_key);
    return with_header_copies(large, block, block);
  };
  expect_code(read_watched(with(1, nullptr), trusting(origin)), Code::integrity, "as at sealing");
  EXPECT_TRUE(asked.empty());
  expect_code(read_watched(with(2, nullptr), trusting(origin)), Code::untrusted, "unsigned");
  EXPECT_TRUE(asked.empty());
  expect_code(read_watched(with(2, &stranger), trusting(origin)), Code::untrusted, "a stranger");
  EXPECT_TRUE(asked.empty());
  // Even where whoever is trusted has signed the change, or unsigned ones are allowed.
  expect_code(read_watched(with(2, &origin), trusting(origin)), Code::integrity, "the MAC");
  EXPECT_EQ(asked.size(), 1U);
  expect_code(read_watched(with(2, nullptr), lenient(trusting(origin))), Code::integrity,
              "the MAC");
  EXPECT_EQ(asked.size(), 1U) << "alice's own slot alone";
}

TEST_F(ForeignSlotsTest, AskNobodyWithTheDataKeyEither) {
  std::vector<Slot> slots(10, forge.slot_for("eve"));
  slots.push_back(forge.slot_for("eve", &stranger, 2));
  slots.push_back(forge.slot_for("eve", nullptr, 2));
  slots.push_back(forge.header.slots[1]);
  slots.push_back(forge.header.slots[0]);
  forge.change_slots(slots, 2, &helper);
  ASSERT_TRUE(forge.header.fits(test::small_header));
  const Result<test::Contents> contents =
      read_watched(forge.build(nullptr), trusting({&origin, &helper}));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().slot, 13U);
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_TRUE(test::is_slot_of(asked[0], "bob"));
  EXPECT_TRUE(test::is_slot_of(asked[1], "alice"));
}

}  // namespace
}  // namespace ckptseal
