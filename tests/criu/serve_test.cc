// SPDX-License-Identifier: Apache-2.0
//
// criu/serve.h: every image goes its own way, nothing unverified passes, and a failure closes no
// pipe.
#include "criu/serve.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "fake_criu.h"
#include "sample.h"

namespace ckptseal {
namespace {

using test::FakeCriu;
using test::MemorySource;
using test::pattern;

constexpr std::size_t chunk = 65536;

// serve() in a thread; the test is CRIU and its hook.
class ServeTest : public testing::Test {
 protected:
  ServeTest() : ends_(test::socket_pair()), criu(std::move(ends_.criu)) {
    signal(SIGPIPE, SIG_IGN);
  }
  ~ServeTest() override {
    criu.hang_up();
    outside.vanish();
    if (running_.valid()) running_.wait();
  }

  void start() {
    running_ = std::async(std::launch::async, [this] {
      return serve(ends_.streamer.get(), outside.control(), source);
    });
  }
  ServeOutcome result() { return running_.get(); }
  ServeOutcome finish() {
    outside.finish();
    return result();
  }
  static void expect_good(const ServeOutcome& outcome) {
    EXPECT_TRUE(outcome.status.ok()) << outcome.status.error().message;
    EXPECT_TRUE(outcome.pipes.empty());
  }
  static void expect_code(const ServeOutcome& outcome, Code code) {
    ASSERT_FALSE(outcome.status.ok());
    EXPECT_EQ(outcome.status.error().code, code) << outcome.status.error().message;
  }

 private:
  test::SocketPair ends_;
  std::future<ServeOutcome> running_;

 protected:
  FakeCriu criu;
  test::Outside outside;
  const Bytes inventory = test::inventory();
  const Bytes pages = pattern("pages", 50 * chunk + 123);
  MemorySource source{{{"inventory.img", inventory},
                       {"pages-1.img", pages},
                       {"even.img", pattern("even", 2 * chunk)},
                       {"empty.img", {}}},
                      chunk};
};

TEST_F(ServeTest, WhatIsAskedForArrives) {
  start();
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  EXPECT_EQ(criu.restore("pages-1.img"), pages);
  EXPECT_EQ(criu.restore("empty.img"), Bytes());
  EXPECT_EQ(criu.restore("even.img"), pattern("even", 2 * chunk));
  const ServeOutcome outcome = finish();
  expect_good(outcome);
  EXPECT_EQ(outcome.bytes, inventory.size() + pages.size() + 2 * chunk);
  for (const auto& [name, times] : source.opened) EXPECT_EQ(times, 1) << name;
}

TEST_F(ServeTest, WhatIsNotThereDoesNotExist) {
  start();
  EXPECT_FALSE(criu.open_to_restore("pages-2.img").valid());
  EXPECT_FALSE(criu.open_to_restore("files.img").valid());
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  expect_good(finish());
  EXPECT_EQ(source.opened.count("pages-2.img"), 0U);
}

TEST_F(ServeTest, TheSameImageTwiceIsServedTwice) {
  start();
  const UniqueFd one = criu.open_to_restore("pages-1.img");
  const Bytes front = test::read_exactly(one.get(), 3 * chunk);
  EXPECT_EQ(criu.restore("pages-1.img"), pages);
  Bytes all = front;
  const Bytes rest = test::read_to_end(one.get());
  all.insert(all.end(), rest.begin(), rest.end());
  EXPECT_EQ(all, pages);
  expect_good(finish());
  EXPECT_EQ(source.opened["pages-1.img"], 2);
}

// A pagemap is half read when its pages are asked for.
TEST_F(ServeTest, APipeThatNobodyReadsHoldsNoOther) {
  start();
  const UniqueFd stalled = criu.open_to_restore("pages-1.img");
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  EXPECT_EQ(criu.restore("pages-1.img"), pages);
  EXPECT_EQ(criu.restore("even.img"), pattern("even", 2 * chunk));
  EXPECT_EQ(test::read_to_end(stalled.get()), pages);
  expect_good(finish());
}

// As CRIU reads pages: the last byte, and then it closes.
TEST_F(ServeTest, AReaderThatClosesAtTheLastByteHasReadAll) {
  start();
  for (const auto& [name, size] :
       {std::pair{"pages-1.img", pages.size()}, {"even.img", 2 * chunk}}) {
    const UniqueFd pipe = criu.open_to_restore(name);
    EXPECT_EQ(test::read_exactly(pipe.get(), size).size(), size);
  }
  expect_good(finish());
  for (const auto& [name, times] : source.opened) EXPECT_EQ(times, 1) << name;
}

TEST_F(ServeTest, AReaderThatClosesEarlyEndsItsImageAlone) {
  start();
  {
    const UniqueFd pipe = criu.open_to_restore("pages-1.img");
    EXPECT_EQ(test::read_exactly(pipe.get(), 100), Bytes(pages.begin(), pages.begin() + 100));
  }
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  expect_good(finish());
  EXPECT_EQ(source.read_through["pages-1.img"], 1) << "what it did not read was verified";
}

TEST_F(ServeTest, WhatWasNotReadIsVerifiedAtTheEnd) {
  source.bad = "pages-1.img";
  source.bad_chunk = 50;  // the last
  start();
  {
    const UniqueFd pipe = criu.open_to_restore("pages-1.img");
    (void)test::read_exactly(pipe.get(), 100);
  }
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  expect_code(finish(), Code::integrity);
}

TEST_F(ServeTest, WhatWasNotAskedForIsVerifiedAtTheEnd) {
  source.bad = "even.img";
  source.bad_chunk = 1;
  start();
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  expect_code(finish(), Code::integrity);
}

TEST_F(ServeTest, NothingAskedForIsVerifiedToo) {
  start();
  expect_good(finish());
  EXPECT_EQ(source.read_through.size(), 4U);
}

// The heart of it: CRIU must not take a failure for the end of an image.
TEST_F(ServeTest, ABadChunkIsNotGivenAndItsPipeStaysOpen) {
  source.bad = "pages-1.img";
  source.bad_chunk = 20;
  start();
  const UniqueFd other = criu.open_to_restore("even.img");
  const UniqueFd pipe = criu.open_to_restore("pages-1.img");
  Bytes got = test::read_exactly(pipe.get(), 4 * chunk);
  Bytes rest = test::read_exactly(pipe.get(), 16 * chunk);
  got.insert(got.end(), rest.begin(), rest.end());
  ServeOutcome outcome = result();
  expect_code(outcome, Code::integrity);
  bool ended = true;
  rest = test::read_what_is_there(pipe.get(), ended);
  got.insert(got.end(), rest.begin(), rest.end());
  EXPECT_FALSE(ended);
  EXPECT_EQ(got, Bytes(pages.begin(), pages.begin() + 20 * chunk));
  EXPECT_GE(outcome.pipes.size(), 1U);
  outcome.pipes.clear();
  (void)test::read_what_is_there(pipe.get(), ended);
  EXPECT_TRUE(ended) << "the twin: the caller has let go of it";
}

TEST_F(ServeTest, ABadFirstChunkGivesNothing) {
  source.bad = "inventory.img";
  start();
  const UniqueFd pipe = criu.open_to_restore("inventory.img");
  const ServeOutcome outcome = result();
  expect_code(outcome, Code::integrity);
  bool ended = true;
  EXPECT_EQ(test::read_what_is_there(pipe.get(), ended), Bytes());
  EXPECT_FALSE(ended);
  EXPECT_EQ(outcome.bytes, 0U);
}

TEST_F(ServeTest, AnImageThatCannotBeOpenedKeepsItsPipe) {
  source.fail_open = "inventory.img";
  start();
  const UniqueFd pipe = criu.open_to_restore("inventory.img");
  const ServeOutcome outcome = result();
  expect_code(outcome, Code::integrity);
  EXPECT_EQ(outcome.pipes.size(), 1U);
  bool ended = true;
  EXPECT_EQ(test::read_what_is_there(pipe.get(), ended), Bytes());
  EXPECT_FALSE(ended);
}

TEST_F(ServeTest, AWrongRequestKeepsAllPipes) {
  start();
  const UniqueFd pages_pipe = criu.open_to_restore("pages-1.img");
  criu.request("inventory.img");
  ASSERT_EQ(criu.receive(6).size(), 6U);
  const Pipe pipe = test::new_pipe();
  criu.send_fds({pipe.write_end.get(), pipe.write_end.get()});
  const ServeOutcome outcome = result();
  expect_code(outcome, Code::failed);
  EXPECT_EQ(outcome.pipes.size(), 3U);
  bool ended = true;
  (void)test::read_what_is_there(pages_pipe.get(), ended);
  EXPECT_FALSE(ended);
}

TEST_F(ServeTest, ANameWithASlashIsRefusedNotAbsent) {
  start();
  criu.request("../inventory.img");
  const ServeOutcome outcome = result();
  expect_code(outcome, Code::failed);
  EXPECT_NE(outcome.status.error().message.find("slash"), std::string::npos);
}

TEST_F(ServeTest, CriuThatEndsBeforePostRestoreIsAFailure) {
  start();
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  const UniqueFd pipe = criu.open_to_restore("pages-1.img");
  criu.hang_up();
  const ServeOutcome outcome = result();
  expect_code(outcome, Code::failed);
  EXPECT_EQ(outcome.pipes.size(), 1U);
}

TEST_F(ServeTest, AnOutsideThatIsGoneIsAFailure) {
  start();
  const UniqueFd pipe = criu.open_to_restore("pages-1.img");
  (void)test::read_exactly(pipe.get(), 1);
  outside.vanish();
  const ServeOutcome outcome = result();
  expect_code(outcome, Code::failed);
  EXPECT_EQ(outcome.pipes.size(), 1U);
}

TEST_F(ServeTest, AnImageStillOpenAtTheEndIsVerifiedAndItsPipeHandedOn) {
  start();
  const UniqueFd pipe = criu.open_to_restore("pages-1.img");
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  const ServeOutcome outcome = finish();
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.pipes.size(), 1U);
  EXPECT_GE(source.read_through["pages-1.img"], 1);
  bool ended = true;
  (void)test::read_what_is_there(pipe.get(), ended);
  EXPECT_FALSE(ended);
}

TEST_F(ServeTest, TooManyAtOnceAreRefusedAndKept) {
  start();
  Pipe full = test::new_pipe();  // one for all: none of them comes to its end
  for (std::size_t i = 0; i <= most_open_when_served; ++i) {
    criu.request("pages-1.img");
    ASSERT_EQ(criu.receive(6), (Bytes{2, 0, 0, 0, 8, 1})) << i;
    criu.send_fds({full.write_end.get()});
  }
  const ServeOutcome outcome = result();
  expect_code(outcome, Code::failed);
  EXPECT_EQ(outcome.pipes.size(), most_open_when_served + 1);
}

TEST_F(ServeTest, AsManyAsAllowedAtOnceAreServed) {
  start();
  Pipe full = test::new_pipe();
  for (std::size_t i = 0; i < most_open_when_served; ++i) {
    criu.request("pages-1.img");
    ASSERT_EQ(criu.receive(6), (Bytes{2, 0, 0, 0, 8, 1})) << i;
    criu.send_fds({full.write_end.get()});
  }
  EXPECT_FALSE(criu.open_to_restore("files.img").valid());
  EXPECT_TRUE(finish().status.ok());
}

// docs/criu-stream.md, "Restore": a chunk for each of them would be 60 MiB.
TEST_F(ServeTest, ManyHalfReadImagesDoNotFillTheMemory) {
  constexpr std::size_t large = std::size_t{1} << 20;
  constexpr int count = 60;
  std::map<std::string, Bytes> images;
  const auto name_of = [](int i) { return "pages-" + std::to_string(i) + ".img"; };
  for (int i = 0; i < count; ++i) images[name_of(i)] = pattern(name_of(i), 2 * large + 5);
  source = MemorySource(images, large);
  start();
  std::vector<UniqueFd> pipes;
  pipes.reserve(count);
  for (int i = 0; i < count; ++i) {
    pipes.push_back(criu.open_to_restore(name_of(i)));
    // Its first byte says that its first chunk is in memory.
    ASSERT_EQ(test::read_exactly(pipes.back().get(), 1), Bytes(1, images[name_of(i)][0]));
  }
  for (int i = 0; i < count; ++i) {
    Bytes all(1, images[name_of(i)][0]);
    const Bytes rest = test::read_to_end(pipes[static_cast<std::size_t>(i)].get());
    all.insert(all.end(), rest.begin(), rest.end());
    EXPECT_EQ(all, images[name_of(i)]) << i;
  }
  expect_good(finish());
  EXPECT_GT(source.given_back, 0);
  EXPECT_LE(source.most_held, std::size_t{26} << 20);
  EXPECT_EQ(source.held, 0U);
}

// Chunks lie in the pipe by reference, and what reuses their memory must not change what CRIU
// reads.
TEST_F(ServeTest, AReaderThatIsLateReadsWhatWasVerified) {
  start();
  const UniqueFd slow = criu.open_to_restore("pages-1.img");
  Bytes got;
  while (got.size() < pages.size()) {
    // More than the pipe holds is on its way, and other images have their turns.
    const Bytes some =
        test::read_exactly(slow.get(), std::min(chunk / 2, pages.size() - got.size()));
    ASSERT_FALSE(some.empty());
    got.insert(got.end(), some.begin(), some.end());
    if (got.size() % (8 * chunk) == 0) {
      EXPECT_EQ(criu.restore("even.img").size(), 2 * chunk);
    }
  }
  EXPECT_EQ(got, pages);
  expect_good(finish());
  EXPECT_GT(source.let_go, 20) << "the memory was used again meanwhile";
  EXPECT_EQ(source.held, 0U);
}

// The image is through, its memory is given up, and its pipe is full.
TEST_F(ServeTest, WhatIsLeftInThePipeAtTheEndStays) {
  start();
  std::vector<UniqueFd> pipes;
  pipes.reserve(20);
  for (int i = 0; i < 20; ++i) pipes.push_back(criu.open_to_restore("even.img"));
  EXPECT_EQ(criu.restore("pages-1.img"), pages);
  for (const UniqueFd& pipe : pipes) {
    EXPECT_EQ(test::read_to_end(pipe.get()), pattern("even", 2 * chunk));
  }
  expect_good(finish());
  EXPECT_EQ(source.held, 0U);
}

// More than may be lent: the rest is copied.
TEST_F(ServeTest, ManyFullPipesHoldLittleMemory) {
  constexpr int count = 40;
  start();
  std::vector<UniqueFd> pipes;
  pipes.reserve(count);
  for (int i = 0; i < count; ++i) {
    pipes.push_back(criu.open_to_restore("pages-1.img"));
    ASSERT_EQ(test::read_exactly(pipes.back().get(), 1), Bytes(1, pages[0]));
  }
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  for (const UniqueFd& pipe : pipes) {
    const Bytes rest = test::read_to_end(pipe.get());
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), pages.begin() + 1, pages.end()));
  }
  expect_good(finish());
  EXPECT_LE(source.most_held, std::size_t{12} << 20);
}

TEST_F(ServeTest, NothingIsLeftOpenByTheServerItself) {
  const std::size_t before = test::open_descriptors();
  start();
  { const UniqueFd early = criu.open_to_restore("pages-1.img"); }
  EXPECT_EQ(criu.restore("inventory.img"), inventory);
  EXPECT_EQ(criu.restore("pages-1.img"), pages);
  expect_good(finish());
  EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace ckptseal
