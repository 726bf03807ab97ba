// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Record page" and "Chains": what the origin says beside the images, in whole
// files under a good signature. How a page is written is in manifest_test.cc.
#include <gtest/gtest.h>

#include "forge.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::Forge;
using test::read_bytes;

class TypedRecordsTest : public testing::Test {
 protected:
  // Without chunks, which would be lost with the keys of another immutable part.
  Bytes sealed() {
    test::Sample sample;
    sample.content = Content::criu;
    sample.images.clear();
    sample.origin = &origin;
    return seal(sample);
  }
  // Before the end page.
  void add(RecordPage page) { forge.pages.insert(forge.pages.end() - 1, std::move(page)); }
  void give_parent(unsigned depth = 1) {
    ImmutablePart part = forge.header.immutable;
    part.parent.fill(0x99);
    part.depth = depth;
    forge.set_immutable(part);
  }
  Result<test::Contents> read() { return read_bytes(forge.build(&origin), trusting(origin)); }
  void expect_refused(const std::string& what) {
    const Result<test::Contents> contents = read();
    ASSERT_FALSE(contents.ok()) << what;
    EXPECT_EQ(contents.error().code, Code::integrity) << what << ": " << contents.error().message;
  }
  static TypedRecord skipped(std::uint16_t type) { return {false, type, {1, 2, 3}}; }
  static TypedRecord parent() { return {true, 1, Bytes(64, 7)}; }

  DoubleOrigin origin;
  Forge forge{sealed(), "alice"};
};

TEST_F(TypedRecordsTest, WhatIsNotCriticalIsSkipped) {
  add({{skipped(2), skipped(3), skipped(4), skipped(5), skipped(6), skipped(0x7fff)}});
  const Result<test::Contents> contents = read();
  ASSERT_TRUE(contents.ok()) << contents.error().message;
}

TEST_F(TypedRecordsTest, WhatIsCriticalAndUnknownIsRefused) {
  for (const int type : {2, 3, 4, 5, 6, 0x7fff}) {
    Forge with(forge.build(nullptr), "alice");
    with.pages.insert(with.pages.end() - 1,
                      RecordPage{{{true, static_cast<std::uint16_t>(type), {1, 2, 3}}}});
    const Result<test::Contents> contents = read_bytes(with.build(&origin), trusting(origin));
    ASSERT_FALSE(contents.ok()) << type;
    EXPECT_EQ(contents.error().code, Code::integrity);
    EXPECT_NE(contents.error().message.find("newer ckpt-seal"), std::string::npos);
  }
}

TEST_F(TypedRecordsTest, TypesAscendOverAllPages) {
  add({{skipped(2), skipped(2), skipped(3)}});
  add({{skipped(3), skipped(4)}});
  EXPECT_TRUE(read().ok());
  std::get<RecordPage>(forge.pages[1]).records[0].type = 2;
  expect_refused("less than the last of the page before");
  std::get<RecordPage>(forge.pages[1]).records = {skipped(4), skipped(3)};
  expect_refused("less than the one before");
}

TEST_F(TypedRecordsTest, TheCriticalBitIsNotPartOfTheOrder) {
  give_parent();
  add({{parent(), skipped(2)}});
  EXPECT_TRUE(read().ok());
  std::get<RecordPage>(forge.pages[0]).records = {skipped(2), parent()};
  expect_refused("the parent behind another");
}

TEST_F(TypedRecordsTest, RecordPagesComeBehindAllOthers) {
  test::Sample sample;
  sample.origin = &origin;
  Forge stream(seal(sample), "alice");
  stream.pages.insert(stream.pages.begin() + 1, RecordPage{{skipped(2)}});
  EXPECT_TRUE(read_bytes(stream.build(&origin), trusting(origin)).ok());
  std::swap(stream.pages[0], stream.pages[1]);
  EXPECT_EQ(read_bytes(stream.build(&origin), trusting(origin)).error().code, Code::integrity)
      << "before the images";

  sample.images[0].second = test::pattern("many", 9UL << smallest_chunk_log2);
  Forge chunks(seal(sample), "alice");  // chunks, images, end
  chunks.pages.insert(chunks.pages.begin() + 2, RecordPage{{skipped(2)}});
  EXPECT_TRUE(read_bytes(chunks.build(&origin), trusting(origin)).ok());
  std::swap(chunks.pages[0], chunks.pages[1]);  // images, chunks, records, end
  EXPECT_TRUE(read_bytes(chunks.build(&origin), trusting(origin)).ok());
  std::swap(chunks.pages[1], chunks.pages[2]);
  EXPECT_EQ(read_bytes(chunks.build(&origin), trusting(origin)).error().code, Code::integrity)
      << "before the chunks";
}

TEST_F(TypedRecordsTest, ARecordPageIsNotTheLast) {
  forge.pages.back() = RecordPage{{skipped(2)}};
  expect_refused("in place of the end page");
}

TEST_F(TypedRecordsTest, AFileWithAParentHasItsKeyOnce) {
  give_parent();
  expect_refused("none");
  add({{parent()}});
  EXPECT_TRUE(read().ok());
  add({{parent()}});
  expect_refused("twice");
}

TEST_F(TypedRecordsTest, AFileWithoutAParentHasNone) {
  add({{parent()}});
  expect_refused("the key of no parent");
}

TEST_F(TypedRecordsTest, TheParentIsCriticalAndAsLongAsItHasToBe) {
  give_parent(63);
  add({{parent()}});
  EXPECT_TRUE(read().ok());
  TypedRecord& record = std::get<RecordPage>(forge.pages[0]).records[0];
  record.critical = false;
  expect_refused("not critical");
  record.critical = true;
  for (const std::size_t size : {0UL, 63UL, 65UL}) {
    record.body.resize(size);
    expect_refused("of " + std::to_string(size) + " bytes");
  }
}

// A reader that follows no chains can check such a file, and gives out nothing of it.
TEST_F(TypedRecordsTest, AFileWithAParentIsNotWholeByItself) {
  const auto alone = [&]() -> Status {
    const UniqueFd fd = test::memory_file(forge.build(&origin));
    const test::ReadSettings settings = trusting(origin);
    SealedFile sealed = test::must(SealedFile::open(fd.get()));
    EXPECT_TRUE(sealed.verify_origin(settings.trust()).ok());
    const test::Identities alice = test::identities_for({"alice"});
    SlotSearch search{alice, settings.trust(), std::nullopt, {}};
    const UnlockedSlot slot = test::must(find_slot(sealed, search));
    return test::must(UnlockedFile::open(sealed, slot)).check_alone();
  };
  EXPECT_TRUE(alone().ok());
  give_parent();
  add({{parent()}});
  const Status status = alone();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::failed);
}

}  // namespace
}  // namespace ckptseal
