// SPDX-License-Identifier: Apache-2.0
//
// What whoever has the file alone can see of its content: nothing of the bytes, nothing of the
// names of images, and not which pages are equal.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "sample.h"

namespace ckptseal {
namespace {

using test::Sample;

bool shows(ByteView file, std::string_view text) {
  return std::search(file.begin(), file.end(), text.begin(), text.end()) != file.end();
}

// The blocks of `size` bytes from `from` on, and how many of them are there twice.
std::size_t repeated_blocks(ByteView file, std::size_t from, std::size_t size,
                            std::set<Bytes>& seen) {
  std::size_t repeated = 0;
  for (std::size_t at = from; at + size <= file.size(); at += size) {
    const ByteView block = file.subspan(at, size);
    if (!seen.insert(Bytes(block.begin(), block.end())).second) ++repeated;
  }
  return repeated;
}

class HidingTest : public testing::TestWithParam<Suite> {};

// As a process has them: 64 equal pages, in each of two images, in two checkpoints.
TEST_P(HidingTest, EqualPagesGiveUnlikeCiphertext) {
  constexpr std::size_t page = 4096;
  Sample sample;
  sample.suite = GetParam();
  sample.content = Content::criu;
  const Bytes pages(64 * page, 0x41);
  sample.images = {{"pages-1.img", pages}, {"pages-2.img", pages}};
  const std::size_t data = test::small_data_start;
  std::set<Bytes> seen;
  for (int i = 0; i < 2; ++i) {
    const Bytes file = test::seal(sample);
    ASSERT_GE(file.size(), data + 2 * pages.size());
    const ByteView chunks = ByteView(file).first(data + 2 * pages.size());
    EXPECT_EQ(repeated_blocks(chunks, data, 16, seen), 0U);
  }
  // The search sees what is equal.
  EXPECT_GT(repeated_blocks(pages, 0, 16, seen), 0U);
}

TEST_P(HidingTest, NeitherContentNorNamesCanBeRead) {
  const std::string marker = "a secret that nobody is to see";
  Sample sample;
  sample.suite = GetParam();
  sample.content = Content::criu;
  sample.images = {{"core-4711.img", Bytes(marker.begin(), marker.end())}};
  const Bytes file = test::seal(sample);
  for (const std::string_view text :
       {std::string_view(marker).substr(0, 8), std::string_view(marker).substr(16, 8),
        std::string_view("core-4711"), std::string_view("4711.img")}) {
    EXPECT_FALSE(shows(file, text)) << text;
  }
  EXPECT_TRUE(shows(sample.images[0].second, std::string_view(marker).substr(16, 8)));
}

INSTANTIATE_TEST_SUITE_P(Suites, HidingTest,
                         testing::Values(Suite::aes_256_gcm, Suite::chacha20_poly1305,
                                         Suite::aes_256_gcm_exclusive,
                                         Suite::chacha20_poly1305_exclusive));

}  // namespace
}  // namespace ckptseal
