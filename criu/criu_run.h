// SPDX-License-Identifier: Apache-2.0
//
// One run of stock CRIU on a stream: its private folder with sockets, action script and logs, its
// process, and what becomes of all that. docs/criu.md.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ending_signals.h"
#include "base/process.h"
#include "criu/hook.h"
#include "criu/options.h"
#include "criu/run_folder.h"

namespace ckptseal {

struct CriuSetup {
  CriuVerb verb = CriuVerb::dump;
  std::string program;                      // CRIU's path
  std::string hook;                         // the path of ckpt-seal-hook
  std::vector<std::string> arguments;       // checked; behind those that this class sets
  std::chrono::milliseconds stall{60'000};  // without a byte for so long the run is given up
  EndingSignals* signals = nullptr;         // held, they give the run up; the caller's, may be none
};

class CriuRun {
 public:
  // Makes the folder, in memory (/run, else /dev/shm), and listens for the image stream.
  // Code::failed when neither is in memory.
  static Result<std::unique_ptr<CriuRun>> prepare(CriuSetup setup);

  CriuRun(const CriuRun&) = delete;
  CriuRun& operator=(const CriuRun&) = delete;
  ~CriuRun();  // kill() if CRIU still runs; the folder goes

  int stream_listener() const { return stream_.get(); }  // for the helper, not blocking
  Status start();
  // Readable when event() has something to say.
  int event_fd() const { return events_.get(); }
  // True when CRIU waits in the hook that decides. Code::failed when CRIU ended before it, with
  // what it said last, when all stood still, or when a signal came.
  Result<bool> event();
  // To be asked before what cannot be taken back: Code::failed with cause EINTR when a signal gives
  // the run up.
  Status check_signals() const;
  // To be asked before what cannot be taken back, too: Code::failed when CRIU, or its script that
  // asked, ended meanwhile. Nobody would hear the answer.
  Status check_waits();
  // Something moved: the time to stall starts anew.
  void alive() const;
  // Lets CRIU go on from the hook, and waits for its end. Code::failed, with what it said, when
  // that is no good one.
  Status go_on();
  // The first task that a restore made, which is now a child of this process; after go_on().
  Result<pid_t> first_task() const;
  // Waits up to `patience` for an end of its own, then kills CRIU and everything below it.
  void end(std::chrono::milliseconds patience);

  // `error`, unless it follows from a signal that came, or is that CRIU went away (cause
  // ECONNRESET) and CRIU said why.
  Error explain(Error error) const;
  const std::string& work_folder() const { return work_; }

 private:
  explicit CriuRun(CriuSetup setup) : setup_(std::move(setup)) {}
  Status listen();
  Status watch(int fd) const;
  Child::Group group() const;
  std::string first_error() const;  // of its log, as a clause; empty: none
  Result<bool> has_ended();
  Error failure() const;
  void end_tasks_first();
  void kill_descendants() const;

  CriuSetup setup_;
  std::optional<RunFolder> folder_;
  std::string work_;
  UniqueFd stream_;
  UniqueFd events_;
  UniqueFd timer_;
  std::optional<HookServer> hooks_;
  std::optional<HookCall> waiting_;
  bool owns_tasks_ = false;    // of a restore that may still fail
  std::vector<pid_t> others_;  // children that were there before CRIU
  std::optional<Child> child_;
  int killed_by_ = 0;  // the signal that ended CRIU
};

}  // namespace ckptseal
