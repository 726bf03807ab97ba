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
using test::with_header_copies;

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
  forge.trailer.signature = {};
  const Bytes other = forge.build(nullptr);
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

// As a file that nobody vouches for at all: who trusts hosts is not shown it.
TEST_P(InsiderTest, AFileOfItsOwn) {
  Forge forge(file, "mallory");
  ImmutablePart part = forge.header.immutable;
  part.origin = {};
  forge.set_immutable(part);
  forge.trailer.signature = {};
  EXPECT_EQ(read_bytes(forge.build(nullptr), trusting(origin)).error().code, Code::untrusted);
}

// Its change of the slots nobody signs, and what it puts there is not used.
TEST_P(InsiderTest, ASlotInTheNameOfTheOrigin) {
  Forge forge(file, "mallory");
  std::vector<Slot> slots = forge.header.slots;
  slots.push_back(forge.slot_for("eve"));
  forge.change_slots(slots, 2, nullptr);
  const Bytes other = forge.build(nullptr);
  EXPECT_EQ(read_bytes(other, trusting(origin)).error().code, Code::untrusted);
  test::ReadSettings settings = trusting(origin);
  settings.allow_unsigned = true;
  EXPECT_TRUE(read_bytes(other, settings).ok()) << "alice's slot is as it was";
  settings.words = {"eve"};
  const Result<test::Contents> contents = read_bytes(other, settings);
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code, Code::integrity);
}

TEST_P(InsiderTest, ASlotAsIfItHadBeenThereAtTheSealing) {
  Forge forge(file, "mallory");
  forge.header.slots.push_back(forge.slot_for("eve"));
  forge.header.slot_bytes = serialize_slots(forge.header.slots);
  expect_refused(forge.build(nullptr), "a slot that is not in the list");
  forge.header.slot_list = slot_list_of(forge.header.slots);
  expect_refused(forge.build(nullptr), "a list that is not that of the immutable part");
  ImmutablePart part = forge.header.immutable;
  part.slot_list = Sha256::of(forge.header.slot_list);
  forge.set_immutable(part);
  expect_refused(forge.build(nullptr), "an immutable part that is not what was signed");
}

// Who can write the file but has no key cannot change the slots: the MAC is under the data key.
TEST_P(InsiderTest, SlotsChangedWithoutTheKey) {
  const Secret wrong_key = std::move(Secret::copy_of(Bytes(32, 1))).value();
  Forge forge(file, "mallory");
  const Bytes right = forge.header_block();
  const Bytes same = forge.header.serialize(wrong_key);
  expect_refused(with_header_copies(file, same, same), "both copies");
  forge.change_slots({forge.header.slots[0]}, 2, &origin);
  const Bytes newer = forge.header.serialize(wrong_key);
  expect_refused(with_header_copies(file, right, newer), "the newer copy: there is no second try");
  EXPECT_TRUE(
      read_bytes(with_header_copies(file, right, forge.header_block()), trusting(origin)).ok())
      << "the twin";
}

}  // namespace
}  // namespace ckptseal
