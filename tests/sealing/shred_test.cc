// SPDX-License-Identifier: Apache-2.0
//
// Whatever is damaged: after a shred that says it was done no header copy is left that anybody
// could open the file by. docs/format.md, "Destroying the slots".
#include <gtest/gtest.h>

#include "sample.h"
#include "sealing/header_change.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::memory_file;

constexpr std::size_t largest_header = std::size_t{1} << largest_header_log2;

class ShredTest : public testing::Test {
 protected:
  // Its header copies have 2^(13 + more) bytes.
  Bytes sealed(unsigned more) {
    test::Sample sample;
    sample.origin = &origin;
    while (true) {
      Bytes out = test::seal(sample);
      if (std::size_t{1} << out[10] == test::small_header << more) return out;
      for (int i = 0; i < 20; ++i) {
        sample.words.push_back("word " + std::to_string(sample.words.size()));
      }
    }
  }
  Result<Bytes> shredded(const Bytes& bytes, bool dry_run = false) {
    const UniqueFd fd = memory_file(bytes);
    ShredJob job;
    job.sealed_fd = fd.get();
    job.dry_run = dry_run;
    HelperEvents events;
    warnings.clear();
    events.warning = [this](const std::string& clause) { warnings.push_back(clause); };
    const Status done = shred_in_helper(job, events);
    Bytes after = test::content_of(fd.get());
    if (done.ok()) return after;
    EXPECT_TRUE(after == bytes) << "refused, and changed";
    return done.error();
  }
  // Whatever H somebody writes into the preamble.
  static bool has_sound_copy(const Bytes& bytes) {
    for (unsigned log2 = smallest_header_log2; log2 <= largest_header_log2; ++log2) {
      const std::size_t size = std::size_t{1} << log2;
      for (const std::size_t at : {block_size, block_size + size}) {
        if (at + size > bytes.size()) continue;
        if (HeaderBlock::parse(ByteView(bytes).subspan(at, size)).ok()) return true;
      }
    }
    return false;
  }
  // Of the bytes from `begin` to `end`, whether none but a few stand there still.
  static bool is_overwritten(const Bytes& before, const Bytes& after, std::size_t begin,
                             std::size_t end) {
    std::size_t same = 0;
    for (std::size_t at = begin; at < end; ++at) same += before[at] == after[at] ? 1 : 0;
    return same < (end - begin) / 64;
  }
  static bool is_kept(const Bytes& before, const Bytes& after, std::size_t begin) {
    return before.size() == after.size() &&
           same_bytes(ByteView(before).subspan(begin), ByteView(after).subspan(begin));
  }

  DoubleOrigin origin{"host-a"};
  std::vector<std::string> warnings;
};

TEST_F(ShredTest, TakesBothCopiesAndLeavesTheRest) {
  for (const unsigned more : {0U, 1U, 2U}) {
    const Bytes file = sealed(more);
    const std::size_t data = block_size + (std::size_t{2} << file[10]);
    EXPECT_TRUE(has_sound_copy(file));
    EXPECT_TRUE(shredded(file, true).value() == file);
    const Bytes after = shredded(file).value();
    EXPECT_FALSE(has_sound_copy(after));
    EXPECT_TRUE(is_overwritten(file, after, block_size, data));
    EXPECT_TRUE(is_kept(file, after, data));
    EXPECT_TRUE(warnings.empty());
  }
}

// A bug that was: H was believed, and with a smaller one copy 1 stayed whole.
TEST_F(ShredTest, BelievesNoPreamble) {
  for (const unsigned more : {0U, 1U, 2U}) {
    const Bytes file = sealed(more);
    const std::size_t data = block_size + (std::size_t{2} << file[10]);
    for (unsigned bit = 0; bit < 12 * 8; ++bit) {
      Bytes damaged = file;
      damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      EXPECT_TRUE(shredded(damaged, true).value() == damaged);
      const Bytes after = shredded(damaged).value();
      EXPECT_FALSE(has_sound_copy(after)) << bit;
      EXPECT_TRUE(is_overwritten(damaged, after, block_size, data)) << bit;
      EXPECT_EQ(after.size(), file.size());
      EXPECT_EQ(warnings.size(), 1U) << bit;
    }
  }
}

TEST_F(ShredTest, FindsTheOtherCopyWhereOneIsDamaged) {
  const Bytes file = sealed(1);
  const std::size_t size = std::size_t{1} << file[10];
  for (const std::size_t copy : {std::size_t{0}, std::size_t{1}}) {
    Bytes damaged = file;
    damaged[block_size + copy * size] ^= 1;
    const Bytes after = shredded(damaged).value();
    EXPECT_TRUE(is_overwritten(damaged, after, block_size, block_size + 2 * size));
    EXPECT_TRUE(is_kept(file, after, block_size + 2 * size));
    // Its preamble, too: the copy that is damaged would have to be set right as well.
    damaged[10] ^= 1;
    EXPECT_TRUE(is_overwritten(damaged, shredded(damaged).value(), block_size, file.size()));
    damaged[0] ^= 1;
    EXPECT_TRUE(is_overwritten(damaged, shredded(damaged).value(), block_size, file.size()));
  }
}

// Somebody could set one of them right, and its preamble says where it is or not.
TEST_F(ShredTest, OfAFileWithoutASoundCopyTakesAllWhereTheyCouldBe) {
  Bytes file = sealed(1);
  file[block_size + 100] ^= 1;
  file[block_size + (std::size_t{1} << file[10]) + 100] ^= 1;
  EXPECT_TRUE(is_overwritten(file, shredded(file).value(), block_size, file.size()));
  file.resize(block_size + 2 * largest_header + 5000, 0x55);
  const Bytes after = shredded(file).value();
  EXPECT_TRUE(is_overwritten(file, after, block_size, block_size + 2 * largest_header));
  EXPECT_TRUE(is_kept(file, after, block_size + 2 * largest_header));
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("first 8 MiB"), std::string::npos);
}

TEST_F(ShredTest, OfAFileThatIsCutShortTakesWhatIsThere) {
  const Bytes file = sealed(1);
  for (const std::size_t size : {std::size_t{4096}, std::size_t{4097}, std::size_t{6000},
                                 std::size_t{4096 + 8192}, std::size_t{4096 + 2 * 8192 - 1}}) {
    const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    const Bytes after = shredded(cut).value();
    EXPECT_EQ(after.size(), size);
    EXPECT_FALSE(has_sound_copy(after)) << size;
  }
}

TEST_F(ShredTest, LeavesWhatIsNoSealedFile) {
  const Bytes file = sealed(0);
  Bytes unknown = file;
  for (const std::size_t at : {std::size_t{0}, block_size, block_size + test::small_header}) {
    unknown[at] ^= 1;
  }
  Bytes newer = file;
  for (const std::size_t at :
       {std::size_t{8}, block_size + 28, block_size + test::small_header + 28}) {
    newer[at + 1] = 2;
  }
  for (const Bytes& bytes :
       {unknown, newer, Bytes(200000, 'p'), Bytes(), Bytes(file.begin(), file.begin() + 4000)}) {
    const Result<Bytes> done = shredded(bytes);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, Code::integrity);
    EXPECT_NE(done.error().message.find("delete it."), std::string::npos) << done.error().message;
  }
}

}  // namespace
}  // namespace ckptseal
