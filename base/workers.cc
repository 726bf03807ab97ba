// SPDX-License-Identifier: Apache-2.0
//
// One queue under one lock: a task is a chunk's worth of work, so nobody waits for the lock.
#include "base/workers.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <exception>
#include <latch>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace ckptseal {
namespace {

constexpr unsigned most_workers = 4;

// Signals are the business of the thread that made this one.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_ = {};
};

}  // namespace

class Workers::Queue {
 public:
  explicit Queue(unsigned threads) {
    std::latch up(threads);
    const SignalsBlocked blocked;
    for (unsigned i = 0; i < threads; ++i) {
      threads_.emplace_back([this, &up] {
        up.count_down();
        work();
      });
    }
    up.wait();
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    something_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  std::shared_ptr<Job> start(std::function<Status()> task) {
    auto item = std::make_shared<Item>(*this, std::move(task));
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(item);
    }
    something_.notify_one();
    return item;
  }

 private:
  class Item : public Job {
   public:
    Item(Queue& queue, std::function<Status()> task) : queue_(queue), task_(std::move(task)) {}
    bool done() const override {
      const std::lock_guard lock(queue_.mutex_);
      return result_.has_value();
    }
    Status wait() override { return queue_.wait_for(*this); }

   private:
    friend class Queue;
    Queue& queue_;
    std::function<Status()> task_;
    std::optional<Status> result_;
    std::exception_ptr bug_;
  };

  // With the lock held, which it gives up meanwhile. `item` is in the queue no more.
  void run(Item& item, std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    Status result;
    std::exception_ptr bug;
    try {
      result = item.task_();
    } catch (...) {
      bug = std::current_exception();
    }
    item.task_ = nullptr;
    lock.lock();
    item.result_ = std::move(result);
    item.bug_ = bug;
    finished_.notify_all();
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      something_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
      if (ending_) return;
      const std::shared_ptr<Item> item = std::move(waiting_.front());
      waiting_.pop_front();
      run(*item, lock);
    }
  }

  Status wait_for(Item& item) {
    std::unique_lock lock(mutex_);
    const auto place = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const auto& other) { return other.get() == &item; });
    if (place != waiting_.end()) {
      const std::shared_ptr<Item> kept = *place;
      waiting_.erase(place);
      run(*kept, lock);
    }
    finished_.wait(lock, [&] { return item.result_.has_value(); });
    if (item.bug_) std::rethrow_exception(item.bug_);
    return *item.result_;
  }

  std::mutex mutex_;
  std::condition_variable something_;
  std::condition_variable finished_;
  std::deque<std::shared_ptr<Item>> waiting_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

Workers::Workers(unsigned threads) : queue_(std::make_unique<Queue>(threads)) {}
Workers::~Workers() = default;

std::shared_ptr<Workers::Job> Workers::start(std::function<Status()> task) {
  return queue_->start(std::move(task));
}

unsigned Workers::usual_count() {
  return std::clamp(std::thread::hardware_concurrency(), 1U, most_workers);
}

}  // namespace ckptseal
