// SPDX-License-Identifier: Apache-2.0
//
// Every byte of a small sealed checkpoint flipped, one at a time. Of the zeros of the header copies
// and of the trailer each 97th is enough: one check is over all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "sample.h"

namespace ckptseal {
namespace {

using test::Contents;
using test::DoubleOrigin;

// Of data and manifest every byte goes through the step that has to see it, and each of this many
// through all of reading.
constexpr std::size_t whole_stride = 101;
constexpr std::size_t padding_stride = 97;
constexpr std::size_t H = test::small_header;

class FlipTest : public testing::TestWithParam<Suite> {
 protected:
  FlipTest() {
    test::Sample sample;
    sample.suite = GetParam();
    sample.origin = &origin;
    file = seal(sample);
    plain = sample.images[0].second;
    fd = test::memory_file(file);
  }

  // Flips the bytes from `begin` to `end`, zeros in long runs sparsely, and asks `check` of each.
  void flip_each(std::size_t begin, std::size_t end, std::size_t step,
                 const std::function<void(std::size_t at, const Result<Contents>&)>& check) {
    for (std::size_t at = begin; at < end; at += in_padding(at) ? padding_stride : step) {
      put(at, file[at] ^ static_cast<std::uint8_t>(1U << at % 8));
      const Result<Contents> contents = read_sealed(fd.get(), trusting(origin));
      put(at, file[at]);
      check(at, contents);
      if (HasFatalFailure()) return;
    }
  }
  // A flipped page is seen by the signature. What comes before reads none of it, so it is done
  // once.
  void flip_manifest(std::size_t begin, std::size_t end) {
    const Result<SealedFile> opened = SealedFile::open(fd.get());
    ASSERT_TRUE(opened.ok());
    const test::ReadSettings settings = trusting(origin);
    for (std::size_t at = begin; at < end; ++at) {
      put(at, file[at] ^ static_cast<std::uint8_t>(1U << at % 8));
      SealedFile sealed = opened.value();
      const Result<SignatureState> state = sealed.verify_origin(settings.trust());
      put(at, file[at]);
      ASSERT_FALSE(state.ok()) << "byte " << at;
      ASSERT_EQ(state.error().code, Code::integrity) << "byte " << at;
    }
    SealedFile sealed = opened.value();
    ASSERT_TRUE(sealed.verify_origin(settings.trust()).ok());
  }
  static void refused(std::size_t at, const Result<Contents>& contents) {
    ASSERT_FALSE(contents.ok()) << "byte " << at;
    ASSERT_EQ(contents.error().code, Code::integrity) << "byte " << at;
  }
  void put(std::size_t at, std::uint8_t value) const {
    ASSERT_TRUE(pwrite_full(fd.get(), ByteView(&value, 1), at).ok());
  }
  bool in_padding(std::size_t at) const {
    const std::size_t end = std::min(at + padding_stride, file.size());
    return all_zero(ByteView(file).subspan(at, end - at));
  }

  DoubleOrigin origin;
  Bytes file;
  Bytes plain;
  UniqueFd fd;
  const std::size_t data = block_size + 2 * H;
  const std::size_t manifest = data + 8192;
};
INSTANTIATE_TEST_SUITE_P(Suites, FlipTest,
                         testing::Values(Suite::aes_256_gcm, Suite::chacha20_poly1305_exclusive),
                         [](const auto& suite) {
                           return is_exclusive(suite.param) ? "Exclusive" : "WithDigests";
                         });

TEST_P(FlipTest, WithoutAFlipItOpens) {
  const Result<Contents> contents = read_sealed(fd.get(), trusting(origin));
  ASSERT_TRUE(contents.ok());
  EXPECT_EQ(contents.value().images.at("stream"), plain);
  EXPECT_EQ(file.size(), manifest + 2 * page_size + block_size);
}

TEST_P(FlipTest, Preamble) { flip_each(0, block_size, 1, refused); }

// One damaged copy: it opens through the other, and says so.
TEST_P(FlipTest, HeaderCopies) {
  flip_each(block_size, data, 1, [&](std::size_t at, const Result<Contents>& contents) {
    ASSERT_TRUE(contents.ok()) << "byte " << at << ": " << contents.error().message;
    ASSERT_EQ(contents.value().warnings.size(), 1U) << "byte " << at;
    ASSERT_EQ(contents.value().images.at("stream"), plain);
  });
}

// The same byte of both.
TEST_P(FlipTest, BothHeaderCopies) {
  for (std::size_t at = block_size; at < block_size + H;
       at += in_padding(at) ? padding_stride : 7) {
    put(at, file[at] ^ 1);
    put(at + H, file[at] ^ 1);
    refused(at, read_sealed(fd.get(), trusting(origin)));
    put(at, file[at]);
    put(at + H, file[at]);
    if (HasFatalFailure()) return;
  }
}

TEST_P(FlipTest, DataAndManifestThroughAllOfReading) {
  flip_each(data, manifest + 2 * page_size, whole_stride, refused);
}

// Seen when the chunk is read: tag or digest, or the check of the padding.
TEST_P(FlipTest, Data) {
  Result<SealedFile> sealed = SealedFile::open(fd.get());
  ASSERT_TRUE(sealed.ok());
  const test::ReadSettings settings = trusting(origin);
  ASSERT_TRUE(sealed.value().verify_origin(settings.trust()).ok());
  const test::Identities alice = test::identities_for({"alice"});
  const Result<UnlockedSlot> slot =
      find_slot(sealed.value(), {alice, settings.trust(), std::nullopt, {}});
  ASSERT_TRUE(slot.ok());
  const Result<UnlockedFile> unlocked = UnlockedFile::open(sealed.value(), slot.value());
  ASSERT_TRUE(unlocked.ok());
  for (std::size_t at = data; at < manifest; ++at) {
    put(at, file[at] ^ static_cast<std::uint8_t>(1U << at % 8));
    auto reader = unlocked.value().read_image(unlocked.value().images()[0]);
    ASSERT_TRUE(reader.ok());
    const auto chunk = reader.value().next();
    put(at, file[at]);
    ASSERT_FALSE(chunk.ok()) << "byte " << at;
    ASSERT_EQ(chunk.error().code, Code::integrity) << "byte " << at;
  }
}

TEST_P(FlipTest, ManifestFirstPage) { flip_manifest(manifest, manifest + page_size); }
TEST_P(FlipTest, ManifestLastPage) {
  flip_manifest(manifest + page_size, manifest + 2 * page_size);
}

TEST_P(FlipTest, Trailer) { flip_each(file.size() - block_size, file.size(), 1, refused); }

}  // namespace
}  // namespace ckptseal
