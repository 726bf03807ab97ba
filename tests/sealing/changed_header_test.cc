// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Header copies" and "Reading", step 3: who may have changed a header.
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

TEST_F(VouchingTest, TheOriginMayHaveChangedIt) {
  remove_bob(&origin);
  const Result<test::Contents> contents = read(trusting(origin));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_TRUE(contents.value().warnings.empty());
  expect_code(read(as("bob", trusting(origin))), Code::no_slot, "who was removed");
}

TEST_F(VouchingTest, ATrustedHostMayHaveChangedIt) {
  remove_bob(&helper, 7);
  EXPECT_TRUE(read().ok());
  expect_code(read(trusting(origin)), Code::untrusted, "whom this reader does not trust");
  expect_code(read(lenient(trusting(origin))), Code::untrusted, "nor who allows unsigned files");
}

TEST_F(VouchingTest, AnUnsignedChangeIsAllowedOrNot) {
  remove_bob(nullptr);
  expect_code(read(), Code::untrusted, "unsigned");
  EXPECT_TRUE(read(lenient(trusting(origin))).ok());
}

TEST_F(VouchingTest, TheSignatureIsOfTheseSlotsAndThisGeneration) {
  const auto refused = [&](const std::string& what) {
    expect_code(read(), Code::integrity, what);
    expect_code(read(lenient(trusting({&origin, &helper}))), Code::integrity, what);
  };
  const std::vector<Slot> both = forge.header.slots;
  remove_bob(&helper);
  ASSERT_TRUE(read().ok());
  const HeaderChange good = *forge.header.change;
  forge.header.generation = 3;
  refused("another generation");
  forge.header.generation = 2;
  forge.header.change->time += 1;
  refused("another time");
  forge.change_slots(both, 2, nullptr);
  forge.header.change = good;
  refused("a slot that was removed is back");
  forge.change_slots({both[1], both[0]}, 2, &helper);
  ASSERT_TRUE(read().ok());
  const HeaderChange of_both = *forge.header.change;
  forge.change_slots(both, 2, nullptr);
  forge.header.change = of_both;
  refused("another order");
  forge.change_slots({forge.slot_for("eve"), both[1], both[0]}, 2, nullptr);
  forge.header.change = of_both;
  refused("a foreign slot in front");
  forge.change_slots(both, 2, &helper);
  forge.header.change->signature = FileSignature(stranger.sign({}));
  refused("somebody else's signature");
  forge.sign_change(&stranger);
  forge.header.change->changer = helper.identity();
  refused("a stranger in another's name");
}

// What names another changer is another digest.
TEST_F(VouchingTest, TheSignatureIsOfTheChangerItself) {
  remove_bob(&origin);
  forge.header.change->changer = helper.identity();
  forge.header.change->signature = FileSignature(origin.sign(forge.header.change_digest()));
  const EcdsaSignature as_helper = origin.sign(forge.header.change_digest());
  expect_code(read(), Code::integrity, "of the origin in the name of another");
  forge.header.change->changer = origin.identity();
  forge.header.change->signature = FileSignature(as_helper);
  expect_code(read(), Code::integrity, "of the origin as another");
  forge.sign_change(&origin);
  EXPECT_TRUE(read().ok());
}

TEST_F(VouchingTest, AChangeOfAnotherFileIsNone) {
  const Bytes other = sealed();
  Forge sibling(other, "alice");
  sibling.change_slots({sibling.header.slots[0]}, 2, &origin);
  remove_bob(&origin);
  forge.header.change = sibling.header.change;
  expect_code(read(), Code::integrity, "the checkpoint is signed, too");
}

TEST_F(VouchingTest, WhoHadExpiredWhenItChangedItIsNotTrusted) {
  const DoubleOrigin expiring("host-b", 1767300000);
  const ReadSettings settings = trusting({&origin, &expiring});
  const std::vector<Slot> slots = {forge.header.slots[0]};
  forge.change_slots(slots, 2, &expiring, 1767299999);
  EXPECT_TRUE(read(settings).ok()) << "whenever it is read";
  forge.change_slots(slots, 2, &expiring, 1767300000);
  expect_code(read(settings), Code::untrusted, "expired");
  // The time is signed, so nobody else can set it back.
  forge.header.change->time = 1767299999;
  expect_code(read(settings), Code::integrity, "a time that was not signed");
}

// With a newer record of the host that holds, it is the key that has expired.
TEST_F(VouchingTest, AKeyThatHadExpiredVouchesForNothing) {
  const DoubleOrigin expiring("host-b", 1767300000);
  ReadSettings settings = trusting({&origin, &expiring});
  settings.origins[1].keys.push_back(stranger.trusted().keys[0]);
  forge.change_slots({forge.header.slots[0]}, 2, &expiring, 1767300000);
  expect_code(read(settings), Code::integrity, "signed with the key of an expired record");
  forge.change_slots({forge.header.slots[0]}, 2, &expiring, 1767299999);
  EXPECT_TRUE(read(settings).ok());
}

TEST_F(VouchingTest, AnOriginMayHaveExpiredSince) {
  const DoubleOrigin expiring("host-a", 1767300000);
  test::Sample sample;
  sample.origin = &expiring;
  sample.created = 1767299999;
  EXPECT_TRUE(read_bytes(seal(sample), trusting(expiring)).ok());
  sample.created = 1767300000;
  expect_code(read_bytes(seal(sample), trusting(expiring)), Code::untrusted,
              "expired when it was made");
  ReadSettings settings = trusting(expiring);
  settings.origins[0].keys.push_back(stranger.trusted().keys[0]);
  expect_code(read_bytes(seal(sample), settings), Code::integrity, "by a key that had expired");
  // Of no time behind 2^63 is it said that it was before 1970.
  sample.created = ~std::uint64_t{0};
  expect_code(read_bytes(seal(sample), trusting(expiring)), Code::untrusted, "as late as can be");
}

TEST_F(VouchingTest, AnUnknownAlgorithmVouchesForNothing) {
  remove_bob(&helper);
  ByteWriter out;
  out.u16(2).u16(3309).zeros(3309);
  ByteReader in(out.view());
  forge.header.change->signature = FileSignature::read(in).value();
  ASSERT_TRUE(forge.header.fits(test::small_header));
  expect_code(read(), Code::integrity, "an algorithm to come");
}

// The page says so: a change cannot be made to have happened for those who keep old copies.
TEST_F(VouchingTest, AnOlderHeaderIsStillAccepted) {
  const Bytes older = forge.header_block();
  remove_bob(&origin);
  const Bytes newer = forge.header_block();
  const Bytes now = with_header_copies(file, newer, newer);
  expect_code(read_bytes(now, as("bob", trusting(origin))), Code::no_slot, "removed");
  const Bytes back = with_header_copies(now, older, older);
  EXPECT_TRUE(read_bytes(back, as("bob", trusting(origin))).ok());
}

// Of another file: it is not the copy from before an interrupted change, and a check fails.
TEST_F(VouchingTest, ACopyOfAnotherFileIsNotSound) {
  const Bytes other = Forge(sealed(), "alice").header_block();
  const Bytes own = forge.header_block();
  const auto is_damaged = [&](const Bytes& bytes) {
    return test::must(SealedFile::open(test::memory_file(bytes).get())).header_copy_damaged();
  };
  EXPECT_TRUE(is_damaged(with_header_copies(file, own, other)));
  EXPECT_FALSE(is_damaged(file));
  remove_bob(&origin);
  EXPECT_FALSE(is_damaged(with_header_copies(file, own, forge.header_block())));
  const Result<test::Contents> contents =
      read_bytes(with_header_copies(file, own, other), trusting(origin));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().warnings.size(), 1U);
}

TEST_F(VouchingTest, TheNewerSoundCopyIsUsed) {
  const Bytes older = forge.header_block();
  remove_bob(&origin);
  const Bytes newer = forge.header_block();
  for (const Bytes& mixed :
       {with_header_copies(file, older, newer), with_header_copies(file, newer, older)}) {
    const Result<test::Contents> contents = read_bytes(mixed, trusting(origin));
    ASSERT_TRUE(contents.ok()) << contents.error().message;
    EXPECT_EQ(contents.value().warnings.size(), 1U);
    expect_code(read_bytes(mixed, as("bob", trusting(origin))), Code::no_slot, "removed");
  }
}

// The other copy would open.
TEST_F(VouchingTest, ThereIsNoSecondTry) {
  const Bytes older = forge.header_block();
  remove_bob(&stranger);
  expect_code(read_bytes(with_header_copies(file, older, forge.header_block()), trusting(origin)),
              Code::untrusted, "the newer copy is a stranger's");
  forge.header.change->changer = origin.identity();
  expect_code(read_bytes(with_header_copies(file, forge.header_block(), older), trusting(origin)),
              Code::integrity, "the newer copy has a wrong signature");
}

// Whoever has the file alone cannot even say that nobody signed: the MAC is under the data key.
TEST_F(VouchingTest, AChangeWithoutTheDataKeyIsRefused) {
  remove_bob(nullptr);
  const Secret wrong = std::move(Secret::copy_of(Bytes(32, 1))).value();
  const Bytes block = forge.header.serialize(wrong);
  expect_code(read_bytes(with_header_copies(file, block, block), lenient(trusting(origin))),
              Code::integrity, "a wrong MAC");
}

}  // namespace
}  // namespace ckptseal
