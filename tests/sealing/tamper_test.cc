// SPDX-License-Identifier: Apache-2.0
//
// A sealed checkpoint cut, lengthened, rearranged, mixed with another, or changed while it is read.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "sample.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::pattern;
using test::read_bytes;
using test::Sample;

constexpr std::size_t C = std::size_t{1} << smallest_chunk_log2;
constexpr std::size_t H = test::small_header;
constexpr std::size_t data_start = test::small_data_start;

class TamperTest : public testing::TestWithParam<Suite> {
 protected:
  Sample sample() {
    Sample out;
    out.suite = GetParam();
    out.images = {{"stream", pattern("stream", 3 * C + 100)}};
    out.origin = &origin;
    return out;
  }
  void expect_refused(const Bytes& other, const std::string& what) {
    const Result<test::Contents> contents = read_bytes(other, trusting(origin));
    ASSERT_FALSE(contents.ok()) << what;
    EXPECT_EQ(contents.error().code, Code::integrity) << what << ": " << contents.error().message;
    EXPECT_FALSE(contents.error().message.empty());
  }
  // `size` bytes from `from` of `source` over those at `to`.
  static void copy_over(Bytes& target, std::size_t to, const Bytes& source, std::size_t from,
                        std::size_t size) {
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from), size,
                target.begin() + static_cast<std::ptrdiff_t>(to));
  }

  DoubleOrigin origin;
  const Bytes file = seal(sample());
  const std::size_t manifest = data_start + 3 * C + block_size;
};
INSTANTIATE_TEST_SUITE_P(Suites, TamperTest,
                         testing::Values(Suite::aes_256_gcm, Suite::chacha20_poly1305,
                                         Suite::aes_256_gcm_exclusive,
                                         Suite::chacha20_poly1305_exclusive));

TEST_P(TamperTest, Cut) {
  ASSERT_TRUE(read_bytes(file, trusting(origin)).ok());
  std::vector<std::size_t> sizes = {0, 1, 8, 10, 11, 4095, 4096};
  for (const std::size_t boundary :
       {block_size, block_size + 28, block_size + 28 + 162, block_size + H, data_start,
        data_start + C, data_start + 2 * C, data_start + 3 * C, manifest, manifest + page_size,
        file.size() - block_size, file.size() - 32, file.size()}) {
    for (const std::size_t size : {boundary - 1, boundary, boundary + 1}) sizes.push_back(size);
  }
  for (std::size_t size = 5000; size < file.size(); size += 7919) sizes.push_back(size);
  for (const std::size_t size : sizes) {
    if (size >= file.size()) continue;
    expect_refused(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)),
                   "cut to " + std::to_string(size));
  }
}

TEST_P(TamperTest, CutInFront) {
  for (const std::size_t size : {std::size_t{1}, block_size, block_size + H, data_start}) {
    expect_refused(Bytes(file.begin() + static_cast<std::ptrdiff_t>(size), file.end()), "front");
  }
}

TEST_P(TamperTest, Appended) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{512}, block_size, page_size}) {
    Bytes longer = file;
    longer.resize(longer.size() + size);
    expect_refused(longer, "zeros appended");
    std::copy_n(file.end() - static_cast<std::ptrdiff_t>(size), size,
                longer.end() - static_cast<std::ptrdiff_t>(size));
    expect_refused(longer, "its own end appended");
  }
  Bytes twice = file;
  twice.insert(twice.end(), file.begin(), file.end());
  expect_refused(twice, "the file twice");
}

TEST_P(TamperTest, PiecesSwapped) {
  const auto swapped = [&](std::size_t a, std::size_t b, std::size_t size) {
    Bytes other = file;
    copy_over(other, a, file, b, size);
    copy_over(other, b, file, a, size);
    return other;
  };
  expect_refused(swapped(data_start, data_start + C, C), "two chunks");
  expect_refused(swapped(data_start, data_start + 2 * C, C), "two chunks");
  expect_refused(swapped(data_start, data_start + leaf_size, leaf_size), "two leaves");
  expect_refused(swapped(data_start, data_start + block_size, block_size), "two blocks");
  expect_refused(swapped(manifest, manifest + page_size, page_size), "two pages");
  EXPECT_TRUE(read_bytes(swapped(block_size, block_size + H, H), trusting(origin)).ok())
      << "the header copies are equal";
}

TEST_P(TamperTest, PiecesRepeatedAndRemoved) {
  const auto repeated = [&](std::size_t to, std::size_t from, std::size_t size) {
    Bytes other = file;
    copy_over(other, to, file, from, size);
    return other;
  };
  expect_refused(repeated(data_start + C, data_start, C), "the first chunk twice");
  expect_refused(repeated(data_start, data_start + C, C), "the second chunk twice");
  expect_refused(repeated(manifest, manifest + page_size, page_size), "a page twice");
  for (const auto& [at, size] : {std::pair{data_start, C},
                                 {data_start + 2 * C, C},
                                 {manifest, page_size},
                                 {manifest + page_size, page_size},
                                 {block_size, H}}) {
    Bytes shorter = file;
    const auto begin = shorter.begin() + static_cast<std::ptrdiff_t>(at);
    shorter.erase(begin, begin + static_cast<std::ptrdiff_t>(size));
    expect_refused(shorter, "a piece removed at " + std::to_string(at));
    Bytes longer = file;
    longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(at),
                  file.begin() + static_cast<std::ptrdiff_t>(at),
                  file.begin() + static_cast<std::ptrdiff_t>(at + size));
    expect_refused(longer, "a piece inserted at " + std::to_string(at));
  }
}

// Two files by the same origin, of the same recipient and the same content.
TEST_P(TamperTest, PiecesOfAnotherCheckpoint) {
  const Bytes sibling = seal(sample());
  ASSERT_EQ(sibling.size(), file.size());
  const std::size_t end = file.size();
  const auto with = [&](std::size_t from, std::size_t to) {
    Bytes other = file;
    copy_over(other, from, sibling, from, to - from);
    return other;
  };
  expect_refused(with(block_size, data_start), "both header copies");
  expect_refused(with(data_start, data_start + C), "a chunk");
  expect_refused(with(data_start, manifest), "all data");
  expect_refused(with(manifest, manifest + page_size), "a page");
  expect_refused(with(manifest, end - block_size), "the manifest");
  expect_refused(with(manifest, end), "manifest and trailer");
  expect_refused(with(data_start, end), "all but the header");
  expect_refused(with(end - block_size, end), "the trailer");
  const Result<test::Contents> one_copy =
      read_bytes(with(block_size + H, data_start), trusting(origin));
  ASSERT_TRUE(one_copy.ok()) << "copy 0 is used at equal generations";
  EXPECT_EQ(one_copy.value().warnings.size(), 1U);
  expect_refused(with(block_size, block_size + H), "copy 0 of another file");
}

// Written between the check of the signature and the reading of what it covers.
TEST_P(TamperTest, ChangedWhileItIsRead) {
  const UniqueFd fd = test::memory_file(file);
  Result<SealedFile> sealed = SealedFile::open(fd.get());
  ASSERT_TRUE(sealed.ok());
  const test::ReadSettings settings = trusting(origin);
  ASSERT_TRUE(sealed.value().verify_origin(settings.trust()).ok());
  const test::Identities identities = test::identities_for({"alice"});
  const Result<UnlockedSlot> slot =
      find_slot(sealed.value(), {identities, settings.trust(), std::nullopt, {}});
  ASSERT_TRUE(slot.ok());

  // The manifest of another good file of the same origin.
  const Bytes sibling = seal(sample());
  ASSERT_TRUE(pwrite_full(fd.get(), ByteView(sibling).subspan(manifest), manifest).ok());
  const auto changed = UnlockedFile::open(sealed.value(), slot.value());
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().code, Code::integrity);
  EXPECT_NE(changed.error().message.find("changed"), std::string::npos);

  ASSERT_TRUE(pwrite_full(fd.get(), ByteView(file).subspan(manifest), manifest).ok());
  const auto unlocked = UnlockedFile::open(sealed.value(), slot.value());
  ASSERT_TRUE(unlocked.ok());
  auto reader = unlocked.value().read_image(unlocked.value().images()[0]);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader.value().next().ok());
  ASSERT_TRUE(pwrite_full(fd.get(), as_bytes("x"), data_start + C + 1).ok());
  EXPECT_FALSE(reader.value().next().ok()) << "a chunk that changed";
  ASSERT_EQ(ftruncate(fd.get(), static_cast<off_t>(data_start + 10)), 0);
  EXPECT_FALSE(reader.value().next().ok()) << "a file that was cut";
}

// Pages of an image with many chunks are read again later: then, too, they must be the same.
TEST(TamperPagesTest, AChunkPageThatChangesLaterIsRefused) {
  Sample sample;
  sample.images = {{"stream", pattern("many", 20 * C)}};
  const Bytes file = seal(sample);
  const std::size_t manifest = data_start + 20 * C;
  const UniqueFd fd = test::memory_file(file);
  Result<SealedFile> sealed = SealedFile::open(fd.get());
  ASSERT_TRUE(sealed.ok());
  const test::ReadSettings settings = test::unsigned_allowed();
  ASSERT_TRUE(sealed.value().verify_origin(settings.trust()).ok());
  const test::Identities identities = test::identities_for({"alice"});
  const Result<UnlockedSlot> slot =
      find_slot(sealed.value(), {identities, settings.trust(), std::nullopt, {}});
  ASSERT_TRUE(slot.ok());
  const auto unlocked = UnlockedFile::open(sealed.value(), slot.value());
  ASSERT_TRUE(unlocked.ok());
  auto reader = unlocked.value().read_image(unlocked.value().images()[0]);
  ASSERT_TRUE(reader.ok());
  const std::uint8_t other = file[manifest] ^ 1;
  ASSERT_TRUE(pwrite_full(fd.get(), ByteView(&other, 1), manifest).ok());
  const auto chunk = reader.value().next();
  ASSERT_FALSE(chunk.ok());
  EXPECT_EQ(chunk.error().code, Code::integrity);
}

TEST(OpenTest, WhatIsNoFileIsRefused) {
  EXPECT_FALSE(SealedFile::open(-1).ok());
  const Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  EXPECT_FALSE(SealedFile::open(pipe.value().read_end.get()).ok());
  EXPECT_EQ(read_bytes({}, {}).error().code, Code::integrity);
  EXPECT_EQ(read_bytes(as_bytes("not a sealed checkpoint"), {}).error().code, Code::integrity);
  EXPECT_EQ(read_bytes(Bytes(500000), {}).error().code, Code::integrity);
  EXPECT_EQ(read_bytes(pattern("noise", 500000), {}).error().code, Code::integrity);
}

TEST(WithSubjectTest, MakesASentence) {
  EXPECT_EQ(with_subject("x.cks", {Code::integrity, "it is cut short", 0}).message,
            "x.cks: it is cut short; get another copy of it.");
  EXPECT_EQ(with_subject("x.cks", {Code::usage, "it holds tree, not stream", 0}).message,
            "x.cks: it holds tree, not stream.");
  EXPECT_EQ(with_subject("x.cks", system_error("it cannot be read", EIO)).message,
            "x.cks: it cannot be read: Input/output error.");
}

}  // namespace
}  // namespace ckptseal
