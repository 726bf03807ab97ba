// SPDX-License-Identifier: Apache-2.0
//
// Threads that work on pieces of data while their owner reads and writes. They are there from the
// start, so that a process can give up the right to make threads (sealing/sandbox.h) and keep them.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"

namespace ckptseal {

class Workers {
 public:
  // One task on its way.
  class Job {
   public:
    virtual ~Job() = default;
    // It was done: wait() does not block.
    virtual bool done() const = 0;
    // The task's result; what the task throws is thrown here. Whoever waits does the task if nobody
    // has begun it, so it also gets done where there is no thread.
    virtual Status wait() = 0;
  };

  // `threads` are running, signals blocked, when it returns; none is allowed. Throws
  // std::system_error when the system gives no thread.
  explicit Workers(unsigned threads);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  // Tasks that nobody has begun are dropped, the others awaited.
  ~Workers();

  // Tasks are begun in the order of their start. What a task refers to must live until it was
  // waited for, or this is gone.
  std::shared_ptr<Job> start(std::function<Status()> task);

  // As many as there are processors, at most four: what this process needs beside CRIU.
  static unsigned usual_count();

 private:
  class Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace ckptseal
