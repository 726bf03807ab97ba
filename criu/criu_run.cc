// SPDX-License-Identifier: Apache-2.0
//
// Folder, process and events of a run of CRIU.
#include "criu/criu_run.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>

#include "base/step.h"
#include "criu/stream_connection.h"

namespace ckptseal {
namespace {

constexpr const char* log_name = "criu.log";
constexpr const char* pid_name = "first-task.pid";
constexpr std::chrono::seconds time_to_clean_up(5);

std::string_view word_of(CriuVerb verb) { return verb == CriuVerb::dump ? "dump" : "restore"; }

// What to do about the errors of CRIU that do not say it, and are no lack of the kernel.
struct Remedy {
  std::string_view error;
  std::string_view words;
};
constexpr Remedy remedies[] = {
    {" --", "its options go behind --, at the dump and at the restore"},
    {"Can't fork for ",
     "end the process that has this number, or restore into a PID namespace of its own"},
    {" has bad size ", "put the file back as it was at the dump"},
    {"Can't open file ", "put the file back as it was at the dump"},
    {"Unable to detach from ", "the process has ended, or another traces it; look, and try again"},
    {"outside of its pid namespace", "dump the first process of the namespace or session instead"},
    {"Timeout reached",
     "a process did not stop, as one that waits for a disk or in vfork; try again"},
};

std::string_view remedy_of(std::string_view error) {
  for (const Remedy& remedy : remedies) {
    if (error.find(remedy.error) != std::string_view::npos) return remedy.words;
  }
  return "'criu check' says what this kernel lacks";
}

std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream list(fmt::format("/proc/{0}/task/{0}/children", parent));
  std::vector<pid_t> out;
  for (pid_t pid = 0; list >> pid;) out.push_back(pid);
  return out;
}

}  // namespace

CriuRun::~CriuRun() {
  // Before the folder goes.
  end(std::chrono::milliseconds(0));
}

Result<std::unique_ptr<CriuRun>> CriuRun::prepare(CriuSetup setup) {
  // NOLINTNEXTLINE: the constructor is private
  std::unique_ptr<CriuRun> run(new CriuRun(std::move(setup)));
  CKPTSEAL_ASSIGN(RunFolder folder, RunFolder::make());
  run->folder_.emplace(std::move(folder));
  run->work_ = run->folder_->path() + "/work";
  if (mkdir(run->work_.c_str(), 0700) != 0) {
    return system_error(fmt::format("Cannot make {}", run->work_), errno);
  }
  CKPTSEAL_TRY(run->listen());
  return run;
}

Status CriuRun::listen() {
  const std::string_view name =
      setup_.verb == CriuVerb::dump ? capture_socket_name : serve_socket_name;
  CKPTSEAL_ASSIGN(stream_, listen_at(fmt::format("{}/{}", folder_->path(), name), SOCK_STREAM));
  CKPTSEAL_ASSIGN(hooks_, HookServer::start(folder_->path(), setup_.hook));
  events_.reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!events_.valid() || !timer_.valid()) return system_error("Cannot watch CRIU", errno);
  if (setup_.signals != nullptr && setup_.signals->fd() >= 0) {
    CKPTSEAL_TRY(watch(setup_.signals->fd()));
  }
  CKPTSEAL_TRY(watch(hooks_->fd()));
  return watch(timer_.get());
}

Status CriuRun::watch(int fd) const {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return system_error("Cannot watch CRIU", errno);
}

Status CriuRun::start() {
  if (setup_.verb == CriuVerb::restore) {
    // Tasks that outlive a CRIU that is killed come to this process, which ends them.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    others_ = children_of(getpid());
    owns_tasks_ = true;
  }
  std::vector<std::string> argv = {setup_.program,        std::string(word_of(setup_.verb)),
                                   "--no-default-config", "--stream",
                                   "--images-dir",        folder_->path(),
                                   "--work-dir",          work_,
                                   "--log-file",          log_name,
                                   "--action-script",     hooks_->path()};
  if (setup_.verb == CriuVerb::restore) {
    argv.insert(argv.end(), {"--restore-detached", "--pidfile", pid_name});
  }
  argv.insert(argv.end(), setup_.arguments.begin(), setup_.arguments.end());
  // A signal in the middle of CRIU's work in a task can end that task. Without ckpt-seal a dump
  // fails by itself, and in order: helper, socket and script are gone.
  const auto orphan = setup_.verb == CriuVerb::dump ? Child::Orphan::goes_on : Child::Orphan::ended;
  CKPTSEAL_ASSIGN(child_, Child::start(argv, {0, 1, 2}, group(), orphan));
  alive();
  return watch(child_->fd());
}

// Out of reach of a Ctrl-C, which comes to this process, too, and ends CRIU in its own time: a CRIU
// that is killed leaves things behind. But the tasks of a job of the terminal are restored into
// CRIU's group, and only that of the foreground may read from there.
Child::Group CriuRun::group() const {
  const bool of_a_job = setup_.verb == CriuVerb::restore && may_have_shell_job(setup_.arguments);
  return of_a_job ? Child::Group::ours : Child::Group::its_own;
}

void CriuRun::alive() const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(setup_.stall);
  itimerspec when = {};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = static_cast<long>((setup_.stall - seconds).count()) * 1'000'000;
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

Status CriuRun::check_signals() const {
  const std::optional<int> number =
      setup_.signals != nullptr ? setup_.signals->take() : std::nullopt;
  if (!number) return {};
  const std::string_view left = setup_.verb == CriuVerb::dump
                                    ? "the process goes on, and there is no file"
                                    : "nothing that was restored is left";
  return Error{
      Code::failed,
      fmt::format("{} ended the {}: {}.", signal_word(*number), word_of(setup_.verb), left), EINTR};
}

Result<bool> CriuRun::event() {
  // First, for the same signal may have come to CRIU.
  CKPTSEAL_TRY(check_signals());
  if (!hooks_) return false;
  CKPTSEAL_ASSIGN(std::optional<HookCall> call, hooks_->accept());
  if (call) {
    waiting_ = std::move(call);
    alive();
    return true;
  }
  std::uint64_t expired = 0;
  if (read(timer_.get(), &expired, sizeof expired) == sizeof expired) {
    return Error{Code::failed,
                 fmt::format("Nothing moved for {} s, so the {} is given up; try again.",
                             setup_.stall.count() / 1000, word_of(setup_.verb)),
                 0};
  }
  CKPTSEAL_ASSIGN(const bool ended, has_ended());
  if (ended) return failure();
  return false;
}

Status CriuRun::check_waits() {
  CKPTSEAL_ASSIGN(const bool ended, has_ended());
  if (ended || !waiting_ || HookServer::is_gone(*waiting_)) return failure();
  return {};
}

Result<bool> CriuRun::has_ended() {
  if (!child_) return false;
  CKPTSEAL_ASSIGN(const std::optional<ExitStatus> ended,
                  child_->wait(std::chrono::milliseconds(0)));
  if (!ended) return false;
  child_.reset();
  killed_by_ = ended->signal;
  return true;
}

Error CriuRun::failure() const {
  std::string why = first_error();
  if (why.empty() && killed_by_ != 0) why = fmt::format("signal {} ended it", killed_by_);
  if (why.empty()) why = "it did not say why";
  return {Code::failed,
          fmt::format("CRIU's {} failed: {}; {}.", word_of(setup_.verb), why, remedy_of(why)), 0};
}

Error CriuRun::explain(Error error) const {
  // What such a signal does to CRIU and to a software TPM looks like these. Others are about the
  // file, and stand.
  if (error.code == Code::failed || error.code == Code::unavailable) {
    if (Status signals = check_signals(); !signals.ok()) return signals.error();
  }
  if (error.cause == ECONNRESET && !first_error().empty()) return failure();
  return error;
}

Status CriuRun::go_on() {
  if (waiting_) HookServer::let_go_on(*std::exchange(waiting_, std::nullopt));
  reached(setup_.verb == CriuVerb::dump ? "dump: CRIU is let go on" : "restore: CRIU is let go on");
  CKPTSEAL_ASSIGN(const ExitStatus status, child_->wait());
  child_.reset();
  killed_by_ = status.signal;
  if (!status.success()) return failure();
  owns_tasks_ = false;
  return {};
}

Result<pid_t> CriuRun::first_task() const {
  std::ifstream file(fmt::format("{}/{}", work_, pid_name));
  pid_t pid = 0;
  if (file >> pid && pid > 0) return pid;
  return Error{Code::failed, "CRIU did not say which process it restored; look whether it runs.",
               0};
}

void CriuRun::end(std::chrono::milliseconds patience) {
  // Without an answer the hook fails, the one that waits and any that comes now. So does a dump's
  // CRIU that has connected and was not heard.
  waiting_.reset();
  hooks_.reset();
  if (setup_.verb == CriuVerb::dump) stream_.reset();
  if (child_) {
    if (patience.count() > 0) (void)child_->wait(patience);
    if (owns_tasks_) end_tasks_first();
    child_.reset();
  }
  // A dump's tasks are not CRIU's, and those of a restore that was let go on live by themselves.
  if (owns_tasks_) kill_descendants();
  owns_tasks_ = false;
}

// A file without a name gets one on its own file system while CRIU restores it, and a CRIU that is
// killed leaves it there: plaintext that also stands in the way of the next restore. A CRIU that
// loses its tasks takes it back, and has no task to run any more.
void CriuRun::end_tasks_first() {
  const std::vector<pid_t> tasks = children_of(child_->pid());
  for (const pid_t pid : tasks) ::kill(pid, SIGKILL);
  if (!tasks.empty()) (void)child_->wait(time_to_clean_up);
}

// What a killed CRIU leaves behind becomes a child of this process, and then what that leaves.
void CriuRun::kill_descendants() const {
  for (int round = 0; round < 1000; ++round) {
    bool found = false;
    for (const pid_t pid : children_of(getpid())) {
      if (std::find(others_.begin(), others_.end(), pid) != others_.end()) continue;
      found = true;
      ::kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    if (!found) return;
  }
}

// The first error is the cause, those after it follow from it.
std::string CriuRun::first_error() const {
  std::ifstream log(fmt::format("{}/{}", work_, log_name));
  std::string out;
  for (std::string line; out.empty() && std::getline(log, line);) {
    const std::size_t at = line.find("Error (");
    const std::size_t text = at == std::string::npos ? at : line.find("): ", at);
    if (text == std::string::npos) continue;
    out = line.substr(text + 3);
    // CRIU goes on after this one.
    if (out.starts_with("rlimit: Can't setup")) out.clear();
  }
  // It may quote names of files.
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  while (!out.empty() && (out.back() == ' ' || out.back() == '.')) out.pop_back();
  return out;
}

}  // namespace ckptseal
