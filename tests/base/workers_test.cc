// SPDX-License-Identifier: Apache-2.0
//
// base/workers.h: every task is done once, by a thread or by who waits for it, and none outlives
// them.
#include "base/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/bytes.h"

namespace ckptseal {
namespace {

using Jobs = std::vector<std::shared_ptr<Workers::Job>>;

class WorkersTest : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Threads, WorkersTest, testing::Values(0U, 1U, 4U));

TEST_P(WorkersTest, EveryTaskIsDoneOnce) {
  Workers workers(GetParam());
  std::vector<std::atomic<int>> done(200);
  Jobs jobs;
  for (auto& counter : done) {
    jobs.push_back(workers.start([&counter] {
      ++counter;
      return Status();
    }));
  }
  for (const auto& job : jobs) {
    EXPECT_TRUE(job->wait().ok());
    EXPECT_TRUE(job->done());
  }
  for (const auto& counter : done) EXPECT_EQ(counter, 1);
}

TEST_P(WorkersTest, TheResultIsThatOfTheTask) {
  Workers workers(GetParam());
  const auto bad = workers.start([]() -> Status { return Error{Code::integrity, "a clause", 7}; });
  const auto good = workers.start([] { return Status(); });
  EXPECT_TRUE(good->wait().ok());
  const Status status = bad->wait();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::integrity);
  EXPECT_EQ(status.error().cause, 7U);
}

TEST_P(WorkersTest, WhatATaskThrowsIsThrownToWhoWaits) {
  Workers workers(GetParam());
  const auto job = workers.start([]() -> Status { throw std::runtime_error("a bug"); });
  EXPECT_THROW((void)job->wait(), std::runtime_error);
}

TEST_P(WorkersTest, TasksThatNobodyWaitsForLeaveNothing) {
  auto kept = std::make_shared<int>(0);
  {
    Workers workers(GetParam());
    for (int i = 0; i < 50; ++i) (void)workers.start([kept] { return Status(); });
  }
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(WorkersTest, ThreadsWorkAtTheSameTime) {
  Workers workers(2);
  std::promise<void> first;
  std::promise<void> second;
  const auto one = workers.start([&] {
    first.set_value();
    second.get_future().wait();
    return Status();
  });
  const auto other = workers.start([&] {
    first.get_future().wait();
    second.set_value();
    return Status();
  });
  while (!one->done() || !other->done()) std::this_thread::yield();
  EXPECT_TRUE(one->wait().ok() && other->wait().ok());
}

TEST(WorkersTest, ATaskThatHasBegunIsAwaited) {
  std::promise<void> begun;
  bool ended = false;
  {
    Workers workers(1);
    (void)workers.start([&] {
      begun.set_value();
      for (int i = 0; i < 100; ++i) std::this_thread::yield();
      ended = true;
      return Status();
    });
    begun.get_future().wait();
  }
  EXPECT_TRUE(ended);
}

// A signal for the process is for the thread that has made the others.
TEST(WorkersTest, ThreadsTakeNoSignals) {
  Workers workers(1);
  sigset_t blocked;
  sigemptyset(&blocked);
  const auto job = workers.start([&] {
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return Status();
  });
  while (!job->done()) std::this_thread::yield();
  EXPECT_EQ(sigismember(&blocked, SIGTERM), 1);
  sigset_t own;
  pthread_sigmask(SIG_BLOCK, nullptr, &own);
  EXPECT_EQ(sigismember(&own, SIGTERM), 0);
}

}  // namespace
}  // namespace ckptseal
