// SPDX-License-Identifier: Apache-2.0
//
// The life of the helper, and the parent's end: what it does when the helper tells or asks it.
#include "sealing/helper.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <vector>

#include "base/fd.h"
#include "base/process.h"
#include "sealing/helper_messages.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

constexpr int last_words_ms = 5000;  // of a helper whose other end failed

// In the helper. Its exit code says only whether the last message went out.
int helper_main(int socket, std::span<const int> descriptors,
                const std::function<Result<HelperReport>(HelperChannel&)>& body) {
  signal(SIGPIPE, SIG_IGN);
  HelperChannel channel(socket);
  std::vector<int> keep(descriptors.begin(), descriptors.end());
  keep.push_back(socket);
  try {
    if (Status hardened = harden_process(keep); !hardened.ok()) {
      return channel.fail(hardened.error()).ok() ? 1 : 2;
    }
    Result<HelperReport> result = body(channel);
    if (!result.ok()) return channel.fail(result.error()).ok() ? 1 : 2;
    return channel.report(std::move(result).value()).ok() ? 0 : 2;
  } catch (const std::exception& bug) {
    const Error error{Code::failed, fmt::format("The helper failed: {}.", bug.what()), 0};
    return channel.fail(error).ok() ? 1 : 2;
  }
}

// A helper that is gone is found out by reading, which says how it ended.
Status tell(int socket, const proto::ToHelper& message) {
  Status sent = send_frame(socket, message.SerializeAsString());
  if (!sent.ok() && sent.error().cause == EPIPE) return {};
  return sent;
}

Status answer_sign_request(int socket, const std::string& bytes, const HelperEvents& events) {
  Digest digest{};
  proto::ToHelper answer;
  if (bytes.size() != digest.size() || !events.sign) {
    set_failure(*answer.mutable_failure(), {Code::failed, "There is nothing to sign with.", 0});
    return tell(socket, answer);
  }
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  const Result<EcdsaSignature> signature = events.sign(digest);
  if (signature.ok()) {
    answer.set_signature(signature.value().data(), signature.value().size());
  } else {
    set_failure(*answer.mutable_failure(), signature.error());
  }
  return tell(socket, answer);
}

Status answer_online_request(int socket, const std::string& request, const HelperEvents& events) {
  proto::ToHelper answer;
  if (request.size() > largest_approval || !events.approve) {
    set_failure(*answer.mutable_failure(), {Code::failed, "There is nobody to ask.", 0});
    return tell(socket, answer);
  }
  const Result<Bytes> bytes = events.approve(as_bytes(request));
  if (bytes.ok()) {
    answer.set_online_answer(bytes.value().data(), bytes.value().size());
  } else {
    set_failure(*answer.mutable_failure(), bytes.error());
  }
  return tell(socket, answer);
}

Status answer_with(int socket, const std::function<Status()>& event) {
  const Status done = event ? event() : Status();
  proto::ToHelper answer;
  if (done.ok()) {
    answer.set_confirmed(true);
  } else {
    set_failure(*answer.mutable_failure(), done.error());
  }
  return tell(socket, answer);
}

Status answer_use_request(int socket, const proto::UseRequest& request,
                          const HelperEvents& events) {
  UseRequest use;
  if (request.key().size() != use.key.size() || request.restores() == 0) {
    return no_message();
  }
  std::copy(request.key().begin(), request.key().end(), use.key.begin());
  use.restores = request.restores();
  use.created = request.created();
  return answer_with(socket, [&]() -> Status {
    if (events.count_use) return events.count_use(use);
    return Error{Code::usage, "it may be restored a limited number of times, and nobody counts", 0};
  });
}

// The parent's side of the talk with one helper.
class HelperTalk {
 public:
  HelperTalk(int socket, const HelperEvents& events) : socket_(socket), events_(events) {}

  // The helper's last message, or nullopt when it died before it could send one.
  Result<std::optional<HelperReport>> run();

 private:
  Status wait_for_helper();
  Status tell_outside(const Result<bool>& asked);
  Status take(const proto::FromHelper& message);
  Status take_authentic(const proto::Authentic& what) const;
  Error failure_of(const proto::Failure& failure) const;

  int socket_;
  const HelperEvents& events_;
  bool outside_done_ = false;
  std::optional<Error> outside_failed_;
};

// The helper may have failed first, and the outside because of that: what it says then is the
// cause. So it is told, and gets a while to answer.
Status HelperTalk::tell_outside(const Result<bool>& asked) {
  proto::ToHelper message;
  if (asked.ok()) {
    outside_done_ = asked.value();
    if (!outside_done_) return {};
    message.set_finish(true);
  } else {
    outside_done_ = true;
    outside_failed_ = asked.error();
    set_failure(*message.mutable_failure(), asked.error());
  }
  // A helper that is gone is found out by reading.
  (void)send_frame(socket_, message.SerializeAsString());
  return {};
}

// Until the helper says something or is gone; passes on what the outside says meanwhile.
Status HelperTalk::wait_for_helper() {
  for (;;) {
    const bool listening = events_.outside && !outside_done_;
    pollfd watched[] = {{socket_, POLLIN, 0}, {listening ? events_.outside_fd : -1, POLLIN, 0}};
    const int ready = poll(watched, 2, outside_failed_ ? last_words_ms : -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return system_error("Cannot wait for the helper", errno);
    if (ready == 0) return *outside_failed_;
    if (watched[0].revents != 0) return {};
    CKPTSEAL_TRY(tell_outside(events_.outside()));
  }
}

Error HelperTalk::failure_of(const proto::Failure& failure) const {
  Error error = to_error(failure);
  // That the other end went away is what the outside says better.
  return outside_failed_ && error.cause == ECONNRESET ? *outside_failed_ : error;
}

Status HelperTalk::take_authentic(const proto::Authentic& what) const {
  if (what.checkpoint_id().size() != std::tuple_size_v<CheckpointId> ||
      what.origin().size() != std::tuple_size_v<Digest>) {
    return no_message();
  }
  if (events_.authentic) events_.authentic(what);
  return {};
}

Status HelperTalk::take(const proto::FromHelper& message) {
  switch (message.kind_case()) {
    case proto::FromHelper::kProgress:
      if (events_.progress) events_.progress(message.progress().done(), message.progress().total());
      return {};
    case proto::FromHelper::kSignDigest:
      return answer_sign_request(socket_, message.sign_digest(), events_);
    case proto::FromHelper::kOnlineRequest:
      return answer_online_request(socket_, message.online_request(), events_);
    case proto::FromHelper::kWarning:
      if (events_.warning) events_.warning(message.warning());
      return {};
    case proto::FromHelper::kTpmDone:
      if (events_.tpm_done) events_.tpm_done();
      return {};
    case proto::FromHelper::kAuthentic:
      return take_authentic(message.authentic());
    case proto::FromHelper::kCountUse:
      return answer_use_request(socket_, message.count_use(), events_);
    case proto::FromHelper::kInputEnded:
      return answer_with(socket_, events_.input_ended);
    case proto::FromHelper::kStartPeer:
      return answer_with(socket_, events_.start_peer);
    case proto::FromHelper::kStopReader:
      // The outside ends with it, and that is not the failure that counts.
      outside_done_ = true;
      return answer_with(socket_, events_.stop_reader);
    case proto::FromHelper::kFailure:
      return failure_of(message.failure());
    case proto::FromHelper::kReport:
    case proto::FromHelper::KIND_NOT_SET:
      break;
  }
  return {};
}

Result<std::optional<HelperReport>> HelperTalk::run() {
  for (;;) {
    CKPTSEAL_TRY(wait_for_helper());
    CKPTSEAL_ASSIGN(const std::optional<Bytes> frame, receive_frame(socket_));
    if (!frame && outside_failed_) return *outside_failed_;
    if (!frame) return std::optional<HelperReport>();
    proto::FromHelper message;
    if (!parse_message(message, *frame)) {
      return no_message();
    }
    if (message.has_report()) return std::optional<HelperReport>(message.report());
    CKPTSEAL_TRY(take(message));
  }
}

}  // namespace

Result<HelperReport> run_in_helper(std::span<const int> descriptors,
                                   const std::function<Result<HelperReport>(HelperChannel&)>& body,
                                   const HelperEvents& events) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error("Cannot start the helper", errno);
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  CKPTSEAL_ASSIGN(Child helper,
                  Child::fork([&] { return helper_main(theirs.get(), descriptors, body); }));
  theirs.reset();
  CKPTSEAL_ASSIGN(std::optional<HelperReport> report, HelperTalk(ours.get(), events).run());
  CKPTSEAL_ASSIGN(const ExitStatus status, helper.wait());
  if (report && status.success()) return *std::move(report);
  const std::string how =
      status.signal == 0 ? "ended" : fmt::format("was ended by signal {}", status.signal);
  return Error{Code::failed,
               fmt::format("The helper {} before it was done; nothing was kept, try again.", how),
               0};
}

}  // namespace ckptseal
