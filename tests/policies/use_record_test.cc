// SPDX-License-Identifier: Apache-2.0
//
// The record of uses: read as it was written, refused when a byte of it is another, and never one
// use too many. docs/state.md, "uses".
#include "policies/use_record.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "base/crypto.h"

namespace ckptseal {
namespace {

constexpr std::uint32_t index = 0x01800f10;
using Entries = std::vector<std::pair<ByteArray<16>, std::uint32_t>>;

ByteArray<16> id(std::uint8_t first) { return ByteArray<16>{first}; }

// As any writer could make it, with a right checksum.
Bytes written(std::uint32_t counter_index, std::uint64_t counter, std::uint64_t since,
              std::uint32_t count, const Entries& entries) {
  ByteWriter out;
  out.bytes(as_bytes("CKSUSES1")).u32(counter_index).u64(counter).u64(since).u32(count);
  for (const auto& [checkpoint, uses] : entries) out.bytes(checkpoint).u32(uses);
  const Digest sum = Sha256::of(out.view());
  return out.bytes(sum).take();
}

// By sha256sum: "ckpt-seal/v1/use", 32 bytes of 0x0a, 16 bytes of 0x0b.
TEST(UseKey, IsOfTheOriginAndTheId) {
  Digest origin;
  origin.fill(0x0a);
  CheckpointId checkpoint;
  checkpoint.fill(0x0b);
  EXPECT_EQ(to_hex(use_key(origin, checkpoint)), "e42e60d3baba7e85f73beaabade2f607");
  EXPECT_NE(use_key(Digest{}, checkpoint), use_key(origin, checkpoint));
  EXPECT_NE(use_key(origin, CheckpointId{}), use_key(origin, checkpoint));
}

void expect_refused(ByteView content) {
  const Result<UseRecord> record = UseRecord::parse(content, "/state/uses");
  ASSERT_FALSE(record.ok());
  EXPECT_EQ(record.error().code, Code::integrity);
  EXPECT_TRUE(record.error().message.starts_with("/state/uses is "));
}

void expect_accepted(ByteView content) {
  const Result<UseRecord> record = UseRecord::parse(content, "it");
  ASSERT_TRUE(record.ok()) << record.error().message;
  EXPECT_EQ(record.value().serialize(), Bytes(content.begin(), content.end()));
}

UseRecord sample() {
  UseRecord record(index, 40, 1000);
  EXPECT_TRUE(record.count(id(7), 5, 1000).ok());
  EXPECT_TRUE(record.count(id(3), 5, 1000).ok());
  EXPECT_TRUE(record.count(id(200), 5, 1000).ok());
  EXPECT_TRUE(record.count(id(3), 5, 2000).ok());
  return record;
}

TEST(UseRecordTest, IsReadAsItWasWritten) {
  const UseRecord record = sample();
  const Result<UseRecord> again = UseRecord::parse(record.serialize(), "it");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value(), record);
  EXPECT_EQ(record.serialize(),
            written(index, 44, 1000, 3, {{id(3), 2}, {id(7), 1}, {id(200), 1}}));
  EXPECT_EQ(again.value().uses_of(id(3)), 2U);
  EXPECT_EQ(again.value().uses_of(id(4)), 0U);
  EXPECT_EQ(again.value().counter(), 44U);
  EXPECT_EQ(again.value().since(), 1000U);
  expect_accepted(UseRecord(index, 1, 0).serialize());
}

TEST(UseRecordTest, OfWhoAnswersHasNoCounter) {
  UseRecord record;
  EXPECT_FALSE(record.bound_to_counter());
  ASSERT_TRUE(record.count(id(1), 1, 0).ok());
  EXPECT_EQ(record.counter(), 0U);
  expect_accepted(record.serialize());
  expect_refused(written(0, 1, 0, 0, {}));
  expect_refused(written(0, 0, 1, 0, {}));
}

TEST(UseRecordTest, CutAtAnyByteIsRefused) {
  const Bytes content = sample().serialize();
  for (std::size_t size = 0; size < content.size(); ++size) {
    expect_refused(ByteView(content).first(size));
  }
  expect_refused(ByteWriter().bytes(content).u8(0).view());
}

TEST(UseRecordTest, AnyFlippedByteIsRefused) {
  const Bytes content = sample().serialize();
  for (std::size_t at = 0; at < content.size(); ++at) {
    Bytes flipped = content;
    flipped[at] ^= 0x20;
    expect_refused(flipped);
  }
}

TEST(UseRecordTest, EntriesAscendAndStandOnce) {
  expect_accepted(written(index, 1, 1, 2, {{id(1), 1}, {id(2), 1}}));
  expect_refused(written(index, 1, 1, 2, {{id(2), 1}, {id(1), 1}}));
  expect_refused(written(index, 1, 1, 2, {{id(1), 1}, {id(1), 2}}));
  expect_refused(written(index, 1, 1, 1, {{id(1), 0}}));
  expect_refused(written(index, 1, 1, 1, {{id(1), 1}, {id(2), 1}}));
  expect_refused(written(index, 1, 1, 3, {{id(1), 1}, {id(2), 1}}));
  expect_accepted(written(index, 1, 1, 1, {{id(1), 0xffffffff}}));
}

TEST(UseRecordTest, CountersAreNvIndices) {
  expect_accepted(written(0x01000000, 1, 1, 0, {}));
  expect_accepted(written(0x01ffffff, 1, 1, 0, {}));
  expect_refused(written(0x00ffffff, 1, 1, 0, {}));
  expect_refused(written(0x02000000, 1, 1, 0, {}));
}

Entries many(std::size_t count) {
  Entries out;
  for (std::size_t i = 0; i < count; ++i) {
    ByteArray<16> checkpoint{};
    for (std::size_t byte = 0; byte < 4; ++byte) {
      checkpoint[byte] = static_cast<std::uint8_t>(i >> (8 * (3 - byte)));
    }
    out.emplace_back(checkpoint, 1);
  }
  return out;
}

TEST(UseRecordTest, IsFullAtSomePoint) {
  const Bytes full = written(index, 1, 1, UseRecord::most_entries, many(UseRecord::most_entries));
  EXPECT_EQ(full.size(), UseRecord::largest_size);
  Result<UseRecord> record = UseRecord::parse(full, "it");
  ASSERT_TRUE(record.ok());
  EXPECT_TRUE(record.value().count(id(0), 2, 1).ok());  // one that stands there already
  const Status more = record.value().count(id(200), 2, 1);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, Code::revoked);
  EXPECT_NE(more.error().message.find("full"), std::string::npos);
  expect_refused(
      written(index, 1, 1, UseRecord::most_entries + 1, many(UseRecord::most_entries + 1)));
}

TEST(UseRecordTest, CountsNoUseTooMany) {
  UseRecord record(index, 10, 100);
  for (std::uint32_t use = 1; use <= 3; ++use) {
    ASSERT_TRUE(record.count(id(1), 3, 100).ok());
    EXPECT_EQ(record.uses_of(id(1)), use);
    EXPECT_EQ(record.counter(), 10U + use);
  }
  const UseRecord before = record;
  const Status more = record.count(id(1), 3, 100);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, Code::revoked);
  EXPECT_EQ(more.error().message,
            "its 3 restores are used up; if it is still needed, have its content sealed anew");
  EXPECT_EQ(record, before);
  EXPECT_TRUE(record.count(id(2), 1, 100).ok());
  EXPECT_EQ(record.count(id(2), 1, 100).error().message,
            "its one restore is used up; if it is still needed, have its content sealed anew");
}

TEST(UseRecordTest, NothingFromBeforeTheRecordIsCounted) {
  UseRecord record(index, 10, 100);
  const Status older = record.count(id(1), 3, 99);
  ASSERT_FALSE(older.ok());
  EXPECT_EQ(older.error().code, Code::revoked);
  EXPECT_EQ(record, UseRecord(index, 10, 100));
}

TEST(UseRecordTest, NoNumberWrapsAround) {
  constexpr auto highest = std::numeric_limits<std::uint64_t>::max();
  UseRecord record(index, highest, 0);
  EXPECT_FALSE(record.count(id(1), 1, 0).ok());
  EXPECT_EQ(record, UseRecord(index, highest, 0));
  Result<UseRecord> used = UseRecord::parse(written(index, 1, 1, 1, {{id(1), 0xffffffff}}), "it");
  ASSERT_TRUE(used.ok());
  EXPECT_FALSE(used.value().count(id(1), 0xffffffff, 1).ok());
}

}  // namespace
}  // namespace ckptseal
