// SPDX-License-Identifier: Apache-2.0
//
// criu/capture.h: a whole dump counts, and nothing less does, wherever it stops.
#include "criu/capture.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "fake_criu.h"
#include "sample.h"

namespace ckptseal {
namespace {

using test::FakeCriu;
using test::inventory;
using test::MemorySink;
using test::pattern;

// capture() in a thread; the test is CRIU and its hook.
class CaptureTest : public testing::Test {
 protected:
  CaptureTest() : ends_(test::socket_pair()), criu(std::move(ends_.criu)) {
    signal(SIGPIPE, SIG_IGN);
  }
  ~CaptureTest() override {
    criu.hang_up();
    outside.vanish();
    if (running_.valid()) running_.wait();
  }

  void start() {
    running_ = std::async(std::launch::async, [this] {
      return capture(ends_.streamer.get(), outside.control(), sink);
    });
  }
  Result<CaptureReport> result() { return running_.get(); }
  // A dump that is queued whole before anybody reads it.
  Result<CaptureReport> run() {
    start();
    return result();
  }
  void fails(const std::string& word) {
    const Result<CaptureReport> got = result();
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, Code::failed);
    EXPECT_NE(got.error().message.find(word), std::string::npos) << got.error().message;
    EXPECT_EQ(got.error().message.back(), '.') << got.error().message;
  }

 private:
  test::SocketPair ends_;
  std::future<Result<CaptureReport>> running_;

 protected:
  FakeCriu criu;
  test::Outside outside;
  MemorySink sink;
};

TEST_F(CaptureTest, AWholeDumpArrives) {
  const Bytes pages = pattern("pages", 5 << 20);
  start();
  criu.dump("seccomp.img", pattern("seccomp", 70));
  criu.dump("pages-1.img", pages);
  criu.dump("fs-1.img", {});
  criu.dump("inventory.img", inventory());
  outside.finish();
  const Result<CaptureReport> report = result();
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().images, 4U);
  EXPECT_EQ(report.value().bytes, 70 + pages.size() + inventory().size());
  EXPECT_EQ(sink.images.at("pages-1.img"), pages);
  EXPECT_EQ(sink.images.at("seccomp.img"), pattern("seccomp", 70));
  EXPECT_EQ(sink.images.at("fs-1.img"), Bytes());
  EXPECT_EQ(sink.images.at("inventory.img"), inventory());
  EXPECT_EQ(sink.finished.size(), 4U);
}

// post-dump may run before the streamer has looked at a single request.
TEST_F(CaptureTest, WhatIsQueuedWhenPostDumpRunsArrives) {
  for (int i = 0; i < 20; ++i) {
    criu.dump("core-" + std::to_string(i) + ".img", pattern(std::to_string(i), 3000));
  }
  criu.dump("inventory.img", inventory());
  outside.finish();
  const Result<CaptureReport> report = run();
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().images, 21U);
  EXPECT_EQ(sink.finished.size(), 21U);
}

TEST_F(CaptureTest, ElevenImagesAtOnceDoNotMix) {
  start();
  std::map<std::string, Bytes> wanted;
  std::vector<UniqueFd> pipes;
  for (int i = 0; i < 11; ++i) {
    const std::string name = "image-" + std::to_string(i) + ".img";
    wanted[name] = pattern(name, 300000);
    pipes.push_back(criu.open_to_dump(name));
  }
  std::size_t at = 0;
  for (std::size_t round = 0; at < 300000; ++round) {
    const std::size_t size = std::min<std::size_t>(300000 - at, 7777 + round);
    std::size_t i = 0;
    for (const auto& [name, unused] : wanted) {
      const std::size_t n = std::stoul(name.substr(6));
      ASSERT_TRUE(write_full(pipes[n].get(), ByteView(wanted[name]).subspan(at, size)).ok());
      ++i;
    }
    at += size;
  }
  for (const std::size_t i : {5U, 0U, 10U, 1U, 9U, 2U, 8U, 3U, 7U, 4U, 6U}) pipes[i].reset();
  criu.dump("inventory.img", inventory());
  outside.finish();
  const Result<CaptureReport> report = result();
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const auto& [name, content] : wanted) EXPECT_EQ(sink.images.at(name), content) << name;
}

// As with --leave-running, where the pages are read after CRIU has given them.
TEST_F(CaptureTest, AnOpenPipeHoldsTheEndBack) {
  start();
  UniqueFd pages = criu.open_to_dump("pages-1.img");
  criu.dump("inventory.img", inventory());
  outside.finish();
  const Bytes content = pattern("late", 3 << 20);
  ASSERT_TRUE(write_full(pages.get(), content).ok());
  pages.reset();
  const Result<CaptureReport> report = result();
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(sink.images.at("pages-1.img"), content);
}

TEST_F(CaptureTest, CriuThatDiesWhileTheEndIsHeldBackIsNoSuccess) {
  start();
  const UniqueFd pages = criu.open_to_dump("pages-1.img");
  criu.dump("inventory.img", inventory());
  outside.finish();
  criu.hang_up();
  fails("closed its connection");
}

// What does not fit into pipe and buffer stays with CRIU.
TEST_F(CaptureTest, ASlowSinkIsNotFlooded) {
  std::promise<void> release;
  sink.hold = release.get_future().share();
  start();
  UniqueFd pages = criu.open_to_dump("pages-1.img");
  const Bytes content = pattern("flood", 8 << 20);
  ASSERT_EQ(fcntl(pages.get(), F_SETFL, O_NONBLOCK), 0);
  std::size_t taken = 0;
  for (ssize_t n = 0; n >= 0 && taken < content.size();) {
    n = write(pages.get(), content.data() + taken, content.size() - taken);
    if (n > 0) taken += static_cast<std::size_t>(n);
  }
  EXPECT_LE(taken, (std::size_t{1} << 20) + 4096);
  release.set_value();
  ASSERT_EQ(fcntl(pages.get(), F_SETFL, 0), 0);
  ASSERT_TRUE(write_full(pages.get(), ByteView(content).subspan(taken)).ok());
  pages.reset();
  criu.dump("inventory.img", inventory());
  outside.finish();
  ASSERT_TRUE(result().ok());
  EXPECT_EQ(sink.images.at("pages-1.img"), content);
}

TEST_F(CaptureTest, ProgressCountsBytes) {
  std::uint64_t last = 0;
  StreamControl control = outside.control();
  control.progress = [&](std::uint64_t done) {
    EXPECT_GT(done, last);
    last = done;
    return Status();
  };
  const test::SocketPair pair = test::socket_pair();
  FakeCriu other{UniqueFd(dup(pair.criu.get()))};
  other.dump("inventory.img", inventory());
  outside.finish();
  ASSERT_TRUE(capture(pair.streamer.get(), control, sink).ok());
  EXPECT_EQ(last, inventory().size());
}

// A dump that goes wrong at one place: what CRIU does, and a word of the error.
struct Fault {
  const char* name;
  const char* word;
  std::function<void(FakeCriu&, test::Outside&)> act;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

void end_well(FakeCriu& criu, test::Outside& outside) {
  criu.dump("inventory.img", inventory());
  outside.finish();
}

std::vector<Fault> faults() {
  return {
      {"ClosedBeforeTheEnd", "closed its connection",
       [](FakeCriu& criu, test::Outside&) {
         criu.dump("inventory.img", inventory());
         criu.hang_up();
       }},
      {"ClosedAtOnce", "closed its connection",
       [](FakeCriu& criu, test::Outside&) { criu.hang_up(); }},
      {"OutsideGone", "outside is gone",
       [](FakeCriu& criu, test::Outside& outside) {
         criu.dump("inventory.img", inventory());
         outside.vanish();
       }},
      {"NoInventory", "was not the last",
       [](FakeCriu& criu, test::Outside& outside) {
         criu.dump("files.img", pattern("files", 10));
         outside.finish();
       }},
      {"Nothing", "was not the last", [](FakeCriu&, test::Outside& outside) { outside.finish(); }},
      {"InventoryNotLast", "was not the last",
       [](FakeCriu& criu, test::Outside& outside) {
         criu.dump("inventory.img", inventory());
         criu.dump("files.img", pattern("files", 10));
         outside.finish();
       }},
      {"InventoryEmpty", "cut short",
       [](FakeCriu& criu, test::Outside& outside) {
         criu.dump("inventory.img", {});
         outside.finish();
       }},
      {"InventoryOneByteShort", "cut short",
       [](FakeCriu& criu, test::Outside& outside) {
         Bytes content = inventory();
         content.pop_back();
         criu.dump("inventory.img", content);
         outside.finish();
       }},
      {"InventoryOneByteLong", "cut short",
       [](FakeCriu& criu, test::Outside& outside) {
         Bytes content = inventory();
         content.push_back(0);
         criu.dump("inventory.img", content);
         outside.finish();
       }},
      {"InventoryOfAnotherKind", "cut short",
       [](FakeCriu& criu, test::Outside& outside) {
         Bytes content = inventory();
         content[0] ^= 1;
         criu.dump("inventory.img", content);
         outside.finish();
       }},
      {"SameNameTwice", "came twice",
       [](FakeCriu& criu, test::Outside& outside) {
         criu.dump("files.img", pattern("files", 10));
         criu.dump("files.img", pattern("files", 10));
         end_well(criu, outside);
       }},
      {"RequestWithoutPipeAtTheEnd", "cut short",
       [](FakeCriu& criu, test::Outside& outside) {
         criu.request("inventory.img");
         outside.finish();
       }},
      {"HalfALengthAtTheEnd", "cut short",
       [](FakeCriu& criu, test::Outside& outside) {
         criu.dump("inventory.img", inventory());
         criu.send(Bytes{5, 0});
         outside.finish();
       }},
      {"ClosedAmidARequest", "amid a request",
       [](FakeCriu& criu, test::Outside&) {
         criu.request("files.img");
         criu.hang_up();
       }},
      {"NameWithSlash", "slash",
       [](FakeCriu& criu, test::Outside&) { criu.open_to_dump("../files.img"); }},
      {"NoDescriptor", "no pipe",
       [](FakeCriu& criu, test::Outside&) {
         criu.request("files.img");
         criu.send_fds({});
       }},
      {"TwoDescriptors", "more than one",
       [](FakeCriu& criu, test::Outside&) {
         const Pipe pipe = test::new_pipe();
         criu.request("files.img");
         criu.send_fds({pipe.read_end.get(), pipe.read_end.get()});
       }},
      {"WrongEnd", "wrong end",
       [](FakeCriu& criu, test::Outside&) {
         const Pipe pipe = test::new_pipe();
         criu.request("files.img");
         criu.send_fds({pipe.write_end.get()});
       }},
  };
}

class CaptureFaultTest : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(All, CaptureFaultTest, testing::ValuesIn(faults()),
                         [](const auto& fault) { return std::string(fault.param.name); });

TEST_P(CaptureFaultTest, IsAnErrorAndLeavesNothingOpen) {
  MemorySink sink;
  const std::size_t before = test::open_descriptors();
  {
    test::SocketPair ends = test::socket_pair();
    FakeCriu criu(std::move(ends.criu));
    test::Outside outside;
    criu.dump("seccomp.img", pattern("seccomp", 70));
    GetParam().act(criu, outside);
    const Result<CaptureReport> report = capture(ends.streamer.get(), outside.control(), sink);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, Code::failed);
    const std::string& message = report.error().message;
    EXPECT_NE(message.find(GetParam().word), std::string::npos) << message;
    EXPECT_EQ(message.back(), '.');
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST_F(CaptureTest, TooManyAtOnceAreRefused) {
  start();
  std::vector<UniqueFd> pipes;
  for (std::size_t i = 0; i < most_open_when_captured; ++i) {
    pipes.push_back(criu.open_to_dump("image-" + std::to_string(i)));
  }
  try {
    pipes.push_back(criu.open_to_dump("one-more"));
  } catch (const std::exception&) {
    // The streamer may be gone between request and pipe.
  }
  fails("more than 64");
}

TEST_F(CaptureTest, AsManyAsAllowedAtOnceAreNot) {
  start();
  std::vector<UniqueFd> pipes;
  for (std::size_t i = 1; i < most_open_when_captured; ++i) {
    pipes.push_back(criu.open_to_dump("image-" + std::to_string(i)));
  }
  criu.dump("inventory.img", inventory());
  pipes.clear();
  outside.finish();
  EXPECT_TRUE(result().ok());
}

TEST_F(CaptureTest, ASinkThatFailsEndsTheDump) {
  for (std::string MemorySink::*step :
       {&MemorySink::fail_open, &MemorySink::fail_put, &MemorySink::fail_finish}) {
    MemorySink failing;
    failing.*step = "files.img";
    test::SocketPair ends = test::socket_pair();
    FakeCriu other(std::move(ends.criu));
    test::Outside hook;
    UniqueFd pages = other.open_to_dump("pages-1.img");
    other.dump("files.img", pattern("files", 10));
    end_well(other, hook);
    const Result<CaptureReport> report = capture(ends.streamer.get(), hook.control(), failing);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().cause, static_cast<std::uint32_t>(ENOSPC));
    // CRIU hears of it: its pipe is broken.
    EXPECT_FALSE(write_full(pages.get(), as_bytes("x")).ok());
  }
}

}  // namespace
}  // namespace ckptseal
