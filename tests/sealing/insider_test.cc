// SPDX-License-Identifier: Apache-2.0
//
// Another recipient of the same file: it has the data key, so every AEAD tag and MAC can be made
// right. What stays is the origin's signature over the tree of digests, and over who was there.
#include <gtest/gtest.h>

#include <algorithm>

#include "forge.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::Forge;
using test::pattern;
using test::read_bytes;

class InsiderTest : public testing::TestWithParam<Suite> {
 protected:
  InsiderTest() {
    test::Sample sample;
    sample.suite = GetParam();
    sample.words = {"alice", "mallory"};
    sample.origin = &origin;
    file = seal(sample);
  }
  void expect_refused(const Bytes& other, const std::string& what) {
    const Result<test::Contents> contents = read_bytes(other, trusting(origin));
    ASSERT_FALSE(contents.ok()) << what;
    EXPECT_EQ(contents.error().code, Code::integrity) << what << ": " << contents.error().message;
  }
  static SlotAdder added_by(const DoubleOrigin& host, const Forge& forge, const Slot& slot,
                            std::uint64_t generation) {
    const Digest digest =
        slot_signature_digest(forge.header.immutable.id, generation, slot.digest());
    return {host.identity(), generation, host.sign(digest)};
  }

  DoubleOrigin origin;
  Bytes file;
};
INSTANTIATE_TEST_SUITE_P(SuitesForMany, InsiderTest,
                         testing::Values(Suite::aes_256_gcm, Suite::chacha20_poly1305));

TEST_P(InsiderTest, AChunkExchangedUnderTheOldManifest) {
  Forge forge(file, "mallory");
  ChunkEntry entry = forge.page<ImagePage>().records[0].inline_entries[0];
  forge.replace_chunk(0, 0, true, pattern("other", 5000), entry);
  expect_refused(forge.build(nullptr), "tag and digest do not fit");
}

TEST_P(InsiderTest, AChunkExchangedAndItsTagRepaired) {
  Forge forge(file, "mallory");
  ChunkEntry& entry = forge.page<ImagePage>().records[0].inline_entries[0];
  const Digest digest = entry.digest;
  forge.replace_chunk(0, 0, true, pattern("other", 5000), entry);
  expect_refused(forge.build(nullptr), "the manifest is not what was signed");

  // Nor can it sign by itself.
  const DoubleOrigin mallory;
  EXPECT_EQ(read_bytes(forge.build(&mallory), trusting(mallory)).error().code, Code::untrusted)
      << "the immutable part names the origin";
  entry.digest = digest;
  expect_refused(forge.build(&origin), "the digest, even under the origin's signature");
}

// The same with the origin's own key: then it opens, which shows that the forge is right.
TEST_P(InsiderTest, OnlyTheSignatureStandsBetween) {
  Forge forge(file, "mallory");
  ChunkEntry& entry = forge.page<ImagePage>().records[0].inline_entries[0];
  forge.replace_chunk(0, 0, true, pattern("other", 5000), entry);
  const Result<test::Contents> contents = read_bytes(forge.build(&origin), trusting(origin));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().images.at("stream"), pattern("other", 5000));
}

TEST_P(InsiderTest, TheSignatureTakenAway) {
  Forge forge(file, "mallory");
  Bytes other = forge.build(nullptr);
  Trailer trailer = Trailer::parse(ByteView(other).last(block_size), other.size(),
                                   forge.header.immutable.data_start())
                        .value();
  trailer.signature.reset();
  const Bytes block = trailer.serialize();
  std::copy(block.begin(), block.end(), other.end() - block_size);
  expect_refused(other, "no signature");
  test::ReadSettings lenient = trusting(origin);
  lenient.allow_unsigned = true;
  EXPECT_FALSE(read_bytes(other, lenient).ok()) << "not even where unsigned files are allowed";
}

TEST_P(InsiderTest, AnOriginOfItsOwnChoiceChangesEveryKey) {
  Forge forge(file, "mallory");
  const DoubleOrigin mallory;
  std::copy(mallory.identity().begin(), mallory.identity().end(),
            forge.header.immutable_bytes.begin() + 56);
  const Result<test::Contents> contents = read_bytes(forge.build(&mallory), trusting(mallory));
  ASSERT_FALSE(contents.ok()) << "the pages are under keys of another immutable part";
  EXPECT_EQ(contents.error().code, Code::integrity);
}

TEST_P(InsiderTest, ASlotInTheNameOfTheOrigin) {
  Forge forge(file, "mallory");
  Result<SlotBody> body = test::DoubleRecipient("eve").wrap(
      std::move(unlock_slot(forge.header, test::identities_for({"mallory"}))).value().data_key,
      forge.header.immutable.checkpoint());
  ASSERT_TRUE(body.ok());
  std::vector<Slot> slots = forge.header.slots;
  slots.push_back({body.value(), std::nullopt});
  forge.slots = serialize_slots(slots);
  const Bytes other = forge.build(nullptr);
  EXPECT_TRUE(read_bytes(other, trusting(origin)).ok()) << "alice's slot is as it was";
  test::ReadSettings eve = trusting(origin);
  eve.words = {"eve"};
  const Result<test::Contents> contents = read_bytes(other, eve);
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code, Code::integrity);
}

TEST_P(InsiderTest, ASlotOfAnotherAdderNeedsTrustAndSignature) {
  Forge forge(file, "mallory");
  const DoubleOrigin bob("host-b");
  const DoubleOrigin stranger("host-s");
  Result<SlotBody> body = test::DoubleRecipient("carol").wrap(
      std::move(unlock_slot(forge.header, test::identities_for({"mallory"}))).value().data_key,
      forge.header.immutable.checkpoint());
  ASSERT_TRUE(body.ok());
  Slot added{body.value(), std::nullopt};
  const auto read_as_carol = [&](const SlotAdder& adder, const TrustedOrigin& trusted) {
    std::vector<Slot> slots = forge.header.slots;
    added.adder = adder;
    slots.push_back(added);
    forge.slots = serialize_slots(slots);
    test::ReadSettings carol = trusting(origin);
    carol.words = {"carol"};
    carol.adders = {trusted};
    return read_bytes(forge.build(nullptr), carol);
  };
  const SlotAdder right = added_by(bob, forge, added, 2);
  EXPECT_TRUE(read_as_carol(right, bob.trusted()).ok());
  EXPECT_EQ(read_as_carol(right, stranger.trusted()).error().code, Code::untrusted);
  EXPECT_EQ(read_as_carol(right, origin.trusted()).error().code, Code::untrusted);
  SlotAdder wrong = right;
  wrong.generation = 3;
  EXPECT_EQ(read_as_carol(wrong, bob.trusted()).error().code, Code::integrity);
  wrong = right;
  wrong.signature[63] ^= 1;
  EXPECT_EQ(read_as_carol(wrong, bob.trusted()).error().code, Code::integrity);
  wrong = right;
  wrong.host = stranger.identity();
  EXPECT_EQ(read_as_carol(wrong, stranger.trusted()).error().code, Code::integrity);
  // When the file is read counts, for when a slot was added nobody says.
  TrustedOrigin lapsing = bob.trusted();
  lapsing.keys[0].expires = test::sample_created + 1;
  EXPECT_TRUE(read_as_carol(right, lapsing).ok());
  lapsing.keys[0].expires = test::sample_created;
  const Error expired = read_as_carol(right, lapsing).error();
  EXPECT_EQ(expired.code, Code::untrusted);
  EXPECT_NE(expired.message.find("host-b, whose record has expired"), std::string::npos);
  wrong = right;
  wrong.signature[63] ^= 1;
  EXPECT_EQ(read_as_carol(wrong, lapsing).error().code, Code::integrity);
}

// Who can write the file but has no key cannot change the slots: the MAC is under the data key.
TEST_P(InsiderTest, SlotsChangedWithoutTheKey) {
  const Forge forge(file, "mallory");
  std::vector<Slot> slots = forge.header.slots;
  slots.pop_back();
  const Secret wrong_key = std::move(Secret::copy_of(Bytes(32, 1))).value();
  const Bytes block = HeaderBlock::build(1, forge.header.immutable_bytes, slots, 65536, wrong_key);
  Bytes other = file;
  std::copy(block.begin(), block.end(), other.begin() + block_size);
  std::copy(block.begin(), block.end(), other.begin() + block_size + 65536);
  expect_refused(other, "both copies");
  const Bytes newer = HeaderBlock::build(2, forge.header.immutable_bytes, slots, 65536, wrong_key);
  other = file;
  std::copy(newer.begin(), newer.end(), other.begin() + block_size + 65536);
  expect_refused(other, "the newer copy: there is no second try");
}

}  // namespace
}  // namespace ckptseal
