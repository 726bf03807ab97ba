// SPDX-License-Identifier: Apache-2.0
//
// What is sealed is read back: all suites, sizes around chunks and pages, files and pipes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "sample.h"

namespace ckptseal {
namespace {

using test::Contents;
using test::DoubleOrigin;
using test::pattern;
using test::read_bytes;
using test::Sample;

constexpr std::size_t C = std::size_t{1} << smallest_chunk_log2;
constexpr Suite all_suites[] = {Suite::aes_256_gcm, Suite::chacha20_poly1305,
                                Suite::aes_256_gcm_exclusive, Suite::chacha20_poly1305_exclusive};

using SuiteAndSize = std::tuple<Suite, std::size_t>;
class RoundTripTest : public testing::TestWithParam<SuiteAndSize> {};
INSTANTIATE_TEST_SUITE_P(SuitesAndSizes, RoundTripTest,
                         testing::Combine(testing::ValuesIn(all_suites),
                                          testing::Values(0, 1, 4096, C - 1, C, C + 1, 8 * C - 1,
                                                          8 * C, 9 * C, 9 * C + 5)));

TEST_P(RoundTripTest, AStreamComesBack) {
  const auto& [suite, size] = GetParam();
  const DoubleOrigin origin;
  Sample sample;
  sample.suite = suite;
  sample.images = {{"stream", pattern("stream", size)}};
  sample.origin = &origin;
  const Bytes file = seal(sample);
  EXPECT_EQ(file.size() % block_size, 0U);
  const Result<Contents> contents = read_bytes(file, trusting(origin));
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().images.at("stream"), sample.images[0].second);
  EXPECT_EQ(contents.value().images.size(), 1U);
  EXPECT_TRUE(contents.value().warnings.empty());
  EXPECT_EQ(contents.value().origin_name, "host-a");
  if (size > 32) {
    const Bytes& plain = sample.images[0].second;
    EXPECT_EQ(std::search(file.begin(), file.end(), plain.begin(), plain.begin() + 32), file.end())
        << "plaintext in the file";
  }
}

class SuiteTest : public testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(Suites, SuiteTest, testing::ValuesIn(all_suites));

// More chunks than one page of the manifest holds: 72, or 169 in exclusive files.
TEST_P(SuiteTest, ManyChunksTakeSeveralPages) {
  Sample sample;
  sample.suite = GetParam();
  const std::size_t chunks = is_exclusive(GetParam()) ? 180 : 80;
  sample.images = {{"stream", pattern("many", (chunks - 1) * C + 77)}};
  const Result<Contents> contents = read_bytes(seal(sample), test::unsigned_allowed());
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_TRUE(contents.value().images.at("stream") == sample.images[0].second);
}

// The last chunk page is full: nothing may follow it.
TEST_P(SuiteTest, AsManyChunksAsAPageHolds) {
  Sample sample;
  sample.suite = GetParam();
  const std::size_t chunks = is_exclusive(GetParam()) ? 169 : 72;
  for (const std::size_t extra : {0U, 1U}) {
    sample.images = {{"stream", pattern("page", (chunks - 1 + extra) * C)}};
    const Result<Contents> contents = read_bytes(seal(sample), test::unsigned_allowed());
    ASSERT_TRUE(contents.ok()) << contents.error().message;
    EXPECT_TRUE(contents.value().images.at("stream") == sample.images[0].second);
  }
}

TEST_P(SuiteTest, SeveralImagesKeepTheirNames) {
  Sample sample;
  sample.suite = GetParam();
  sample.content = Content::criu;
  sample.images.clear();
  for (unsigned i = 0; i < 600; ++i) {
    const std::string name = "core-" + std::to_string(i) + ".img";
    sample.images.emplace_back(name, pattern(name, i % 7 == 0 ? 0 : i * 3));
  }
  sample.images.emplace_back("pages-1.img", pattern("pages", 11 * C + 1));
  const Result<Contents> contents = read_bytes(seal(sample), test::unsigned_allowed());
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  ASSERT_EQ(contents.value().images.size(), sample.images.size());
  for (const auto& [name, bytes] : sample.images) {
    EXPECT_EQ(contents.value().images.at(name), bytes) << name;
  }
}

TEST(RoundTripMoreTest, ACriuFileMayHoldNoImage) {
  Sample sample;
  sample.content = Content::criu;
  sample.images.clear();
  const Result<Contents> contents = read_bytes(seal(sample), test::unsigned_allowed());
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_TRUE(contents.value().images.empty());
}

TEST(RoundTripMoreTest, ChunkSizesFromTheLeastToTheMost) {
  for (unsigned log2 = smallest_chunk_log2; log2 <= largest_chunk_log2; ++log2) {
    Sample sample;
    sample.chunk_log2 = log2;
    sample.images = {{"stream", pattern("sizes", (std::size_t{1} << log2) + 10)}};
    const Result<Contents> contents = read_bytes(seal(sample), test::unsigned_allowed());
    ASSERT_TRUE(contents.ok()) << contents.error().message;
    EXPECT_TRUE(contents.value().images.at("stream") == sample.images[0].second) << log2;
  }
}

TEST(RoundTripMoreTest, EveryRecipientOpensIt) {
  Sample sample;
  sample.words.clear();
  for (unsigned i = 0; i < 1000; ++i) sample.words.push_back("word " + std::to_string(i));
  const Bytes file = seal(sample);
  test::ReadSettings settings = test::unsigned_allowed();
  for (const std::size_t i : {0UL, 1UL, 500UL, 999UL}) {
    settings.words = {sample.words[i]};
    const Result<Contents> contents = read_bytes(file, settings);
    ASSERT_TRUE(contents.ok()) << contents.error().message;
    EXPECT_EQ(contents.value().slot, i);
    EXPECT_EQ(contents.value().images.at("stream"), sample.images[0].second);
  }
  settings.words = {"stranger"};
  EXPECT_EQ(read_bytes(file, settings).error().code, Code::no_slot);
}

// docs/format.md, "Overview": preamble, two headers of 8192 bytes, a chunk, two pages, a trailer.
TEST(RoundTripMoreTest, ASmallFileIsSmall) {
  const DoubleOrigin origin;
  Sample sample;
  sample.images = {{"stream", pattern("small", 11)}};
  sample.origin = &origin;
  for (const Suite suite : all_suites) {
    sample.suite = suite;
    const Bytes file = seal(sample);
    EXPECT_EQ(file.size(), 9U * 4096);
    EXPECT_TRUE(read_bytes(file, trusting(origin)).ok());
  }
  sample.images[0].second.clear();
  EXPECT_EQ(seal(sample).size(), 8U * 4096) << "an empty chunk occupies nothing";
}

// To a pipe, which cannot seek, the same bytes come but for what is random.
TEST(RoundTripMoreTest, WhatIsWrittenToAPipeIsAFile) {
  Sample sample;
  sample.images = {{"stream", pattern("pipe", 3 * C + 9)}};
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  Bytes file(std::size_t{1} << 20);
  std::thread reader([&] {
    const Result<std::size_t> size = read_full(pipe.value().read_end.get(), file);
    file.resize(size.ok() ? size.value() : 0);
  });
  const Status sealed = seal_to(sample, pipe.value().write_end.get());
  pipe.value().write_end.reset();
  reader.join();
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(file.size(), seal(sample).size());
  const Result<Contents> contents = read_bytes(file, test::unsigned_allowed());
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents.value().images.at("stream"), sample.images[0].second);
}

// As a shell has it: the output is open, something is in front of it, and something follows.
TEST(RoundTripMoreTest, AFileIsWrittenFromWhereItStands) {
  Sample sample;
  sample.images = {{"stream", pattern("shell", 20 * C + 9)}};
  for (const int appending : {0, O_APPEND}) {
    const UniqueFd out = test::memory_file(as_bytes("front"));
    ASSERT_EQ(fcntl(out.get(), F_SETFL, appending), 0);
    // With O_APPEND it is the end that counts, not the position.
    ASSERT_GE(lseek(out.get(), appending != 0 ? 0 : 5, SEEK_SET), 0);
    ASSERT_TRUE(seal_to(sample, out.get()).ok());
    ASSERT_TRUE(write_full(out.get(), as_bytes("end")).ok());
    Bytes all(std::size_t{4} << 20);
    all.resize(pread_full(out.get(), all, 0).value());
    ASSERT_EQ(all.size(), 5 + seal(sample).size() + 3);
    EXPECT_EQ(as_text(ByteView(all).first(5)), "front");
    EXPECT_EQ(as_text(ByteView(all).last(3)), "end");
    const Result<Contents> contents =
        read_bytes(ByteView(all).subspan(5, all.size() - 8), test::unsigned_allowed());
    ASSERT_TRUE(contents.ok()) << contents.error().message;
    EXPECT_EQ(contents.value().images.at("stream"), sample.images[0].second);
  }
}

TEST(RoundTripMoreTest, NoTwoFilesShareAKeyOrAnId) {
  const Sample sample;
  const Bytes one = seal(sample);
  const Bytes two = seal(sample);
  ASSERT_EQ(one.size(), two.size());
  const auto differing = [&](std::size_t from, std::size_t size) {
    return !std::equal(one.begin() + static_cast<std::ptrdiff_t>(from),
                       one.begin() + static_cast<std::ptrdiff_t>(from + size),
                       two.begin() + static_cast<std::ptrdiff_t>(from));
  };
  EXPECT_TRUE(differing(block_size + 28 + 8, 16)) << "checkpoint id";
  EXPECT_TRUE(differing(block_size + 28 + 24, 32)) << "commitment";
  EXPECT_TRUE(differing(test::small_data_start, 4096)) << "data";
}

// One of which several people could have a copy.
TEST(WriterTest, AnExclusiveFileIsForOneHolder) {
  const UniqueFd spool = test::memory_file();
  SealOptions options;
  for (const int kind : {1, 3, 6, 2, 4, 5, 7, 0x7e57}) {
    const test::Recipients recipient =
        test::recipients_for({"alice"}, static_cast<std::uint16_t>(kind));
    const bool allowed = kind == 1 || kind == 3 || kind == 6;
    for (const Suite suite : all_suites) {
      const UniqueFd out = test::memory_file();
      options.suite = suite;
      const Result<FileWriter> writer =
          FileWriter::start(out.get(), spool.get(), options, recipient);
      EXPECT_EQ(writer.ok(), allowed || !is_exclusive(suite)) << kind;
      if (writer.ok()) continue;
      EXPECT_EQ(writer.error().code, Code::usage);
      EXPECT_TRUE(test::content_of(out.get()).empty()) << "nothing was written";
    }
  }
}

TEST(WriterTest, WrongCallsAreRefused) {
  Sample sample;
  sample.words.clear();
  EXPECT_EQ(seal_to(sample, -1).error().code, Code::usage) << "no recipient";
  sample.words = {"alice", "bob"};
  sample.suite = Suite::aes_256_gcm_exclusive;
  EXPECT_EQ(seal_to(sample, -1).error().code, Code::usage) << "exclusive for two";
  sample = Sample();
  EXPECT_FALSE(seal_to(sample, -1).ok()) << "no output";
  const UniqueFd out = test::memory_file();
  sample.images = {{"a/b", {}}};
  EXPECT_FALSE(seal_to(sample, out.get()).ok()) << "a name that is none";
}

// A disk that fills up in the middle is an error, not a short file that looks whole.
TEST(WriterTest, AFullOutputIsAnError) {
  const Result<UniqueFd> full = open_file("/dev/full", O_WRONLY, "the full device");
  ASSERT_TRUE(full.ok());
  const Status sealed = seal_to(Sample(), full.value().get());
  ASSERT_FALSE(sealed.ok());
  EXPECT_EQ(sealed.error().cause, static_cast<std::uint32_t>(ENOSPC));
}

// The same of a file, whose chunks other threads write: wherever it ends, it is an error.
TEST(WriterTest, AFileThatCannotGrowIsAnError) {
  Sample sample;
  sample.images = {{"stream", pattern("full", 20 * C)}};
  const std::size_t size = seal(sample).size();
  for (std::size_t room = 0; room <= size; room += block_size) {
    const UniqueFd out(memfd_create("full", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(ftruncate(out.get(), static_cast<off_t>(room)), 0);
    ASSERT_EQ(fcntl(out.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
    const Status sealed = seal_to(sample, out.get());
    EXPECT_EQ(sealed.ok(), room == size) << room;
    if (!sealed.ok()) {
      EXPECT_EQ(sealed.error().cause, static_cast<std::uint32_t>(EPERM));
    }
  }
}

TEST(TrustTest, WhoIsNotTrustedIsRefused) {
  const DoubleOrigin origin;
  const DoubleOrigin stranger;
  Sample sample;
  sample.origin = &origin;
  const Bytes with_signature = seal(sample);
  EXPECT_EQ(read_bytes(with_signature, trusting(stranger)).error().code, Code::untrusted);
  EXPECT_EQ(read_bytes(with_signature, {}).error().code, Code::untrusted);
  EXPECT_EQ(read_bytes(with_signature, test::unsigned_allowed()).error().code, Code::untrusted)
      << "to allow unsigned files is not to trust everybody";
  sample.origin = nullptr;
  const Bytes without = seal(sample);
  EXPECT_EQ(read_bytes(without, trusting(origin)).error().code, Code::untrusted);
  EXPECT_TRUE(read_bytes(without, test::unsigned_allowed()).ok());
}

TEST(TrustTest, AnyKeyOfTheOriginMayHaveSigned) {
  const DoubleOrigin origin;
  const DoubleOrigin newer;
  Sample sample;
  sample.origin = &origin;
  test::ReadSettings settings = trusting(origin);
  std::vector<OriginKey>& keys = settings.origins[0].keys;
  keys.insert(keys.begin(), newer.trusted().keys[0]);
  EXPECT_TRUE(read_bytes(seal(sample), settings).ok());
  keys.pop_back();
  EXPECT_EQ(read_bytes(seal(sample), settings).error().code, Code::integrity);
}

}  // namespace
}  // namespace ckptseal
