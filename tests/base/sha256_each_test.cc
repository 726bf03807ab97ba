// SPDX-License-Identifier: Apache-2.0
//
// base/sha256_each.h: whatever goes side by side, each digest is that of its message.
#include "base/sha256_each.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/crypto.h"

namespace ckptseal {
namespace {

// Messages of the given sizes, no two alike.
std::vector<Bytes> messages_of(const std::vector<std::size_t>& sizes) {
  std::vector<Bytes> out;
  for (const std::size_t size : sizes) {
    Bytes message(size);
    for (std::size_t i = 0; i < size; ++i) {
      message[i] = static_cast<std::uint8_t>(i * 31 + out.size() * 7 + i / 251);
    }
    out.push_back(std::move(message));
  }
  return out;
}

void expect_right(const std::vector<Bytes>& messages) {
  const std::vector<ByteView> views(messages.begin(), messages.end());
  std::vector<Digest> digests(views.size());
  sha256_each(views, digests);
  for (std::size_t i = 0; i < views.size(); ++i) {
    EXPECT_EQ(digests[i], Sha256::of(views[i])) << i << " of " << views.size();
  }
}

TEST(Sha256EachTest, AnyNumberOfThem) {
  for (std::size_t count = 0; count <= 40; ++count) {
    expect_right(messages_of(std::vector<std::size_t>(count, 16384)));
  }
  expect_right(messages_of(std::vector<std::size_t>(300, 100)));
}

TEST(Sha256EachTest, OfAnyLength) {
  std::vector<std::size_t> sizes;
  for (std::size_t size = 0; size <= 200; ++size) sizes.push_back(size);
  for (const std::size_t size : {16383U, 16384U, 16385U, 32767U, 32768U}) sizes.push_back(size);
  expect_right(messages_of(sizes));
}

TEST(Sha256EachTest, InSeveralThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int round = 0; round < 20; ++round) {
        expect_right(messages_of({16384, t, 5000 + t, 16384, 64}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace ckptseal
