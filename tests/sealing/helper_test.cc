// SPDX-License-Identifier: Apache-2.0
//
// sealing/helper.h: what the parent hears, and that neither end hangs when the other is gone.
#include "sealing/helper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "base/process.h"
#include "doubles.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

using Body = std::function<Result<HelperReport>(HelperChannel&)>;

Result<HelperReport> run(const Body& body, const HelperEvents& events = {}) {
  return run_in_helper({}, body, events);
}

bool is_sentence(const std::string& text) {
  return text.size() > 10 && text.back() == '.' && text.find('\n') == std::string::npos;
}

TEST(HelperTest, AReportArrives) {
  const pid_t parent = getpid();
  const Result<HelperReport> report = run([&](HelperChannel&) -> Result<HelperReport> {
    HelperReport out;
    out.set_file_size(static_cast<std::uint64_t>(getppid() == parent));
    out.set_origin_name(std::string(100000, 'x'));
    return out;
  });
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().file_size(), 1U) << "it is a child of the caller";
  EXPECT_EQ(report.value().origin_name().size(), 100000U);
}

TEST(HelperTest, AFailureArrivesAsItIs) {
  for (int code = 1; code <= 9; ++code) {
    const Result<HelperReport> report = run([&](HelperChannel&) -> Result<HelperReport> {
      return Error{static_cast<Code>(code), "a clause with 'quotes'", 0x12345678};
    });
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, static_cast<Code>(code));
    EXPECT_EQ(report.error().message, "a clause with 'quotes'");
    EXPECT_EQ(report.error().cause, 0x12345678U);
  }
}

// File names are bytes, so messages may be no UTF-8.
TEST(HelperTest, AFailureWithBytesThatAreNoTextArrives) {
  const Result<HelperReport> report = run([](HelperChannel&) -> Result<HelperReport> {
    return Error{Code::policy, "Cannot open \xff\xfe.", 0};
  });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::policy) << report.error().message;
}

TEST(HelperTest, AnExceptionIsAFailure) {
  const Result<HelperReport> report =
      run([](HelperChannel&) -> Result<HelperReport> { throw std::runtime_error("a bug"); });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::failed);
  EXPECT_NE(report.error().message.find("a bug"), std::string::npos);
  EXPECT_TRUE(is_sentence(report.error().message));
}

TEST(HelperTest, EventsArriveInOrder) {
  std::string heard;
  HelperEvents events;
  events.warning = [&](const std::string& clause) { heard += "w:" + clause + " "; };
  events.tpm_done = [&] { heard += "t "; };
  events.progress = [&](std::uint64_t done, std::uint64_t total) {
    heard += "p:" + std::to_string(done) + "/" + std::to_string(total) + " ";
  };
  const Body body = [](HelperChannel& channel) -> Result<HelperReport> {
    CKPTSEAL_TRY(channel.warn("one"));
    CKPTSEAL_TRY(channel.tpm_done());
    CKPTSEAL_TRY(channel.progress(5, 10));
    CKPTSEAL_TRY(channel.progress(6, 10));  // within 50 ms: not sent
    return HelperReport();
  };
  ASSERT_TRUE(run(body, events).ok());
  EXPECT_EQ(heard.substr(0, 15), "w:one t p:5/10 ");
  EXPECT_TRUE(run(body).ok()) << "nobody listens";
}

TEST(HelperTest, TheParentSigns) {
  const test::DoubleOrigin origin;
  const Digest digest = Sha256::of(as_bytes("to be signed"));
  const Body body = [&](HelperChannel& channel) -> Result<HelperReport> {
    CKPTSEAL_TRY(enter_sandbox());
    CKPTSEAL_ASSIGN(const EcdsaSignature signature, channel.sign(digest));
    HelperReport out;
    out.set_origin(signature.data(), signature.size());
    return out;
  };
  HelperEvents events;
  Digest asked{};
  events.sign = [&](const Digest& d) -> Result<EcdsaSignature> {
    asked = d;
    return origin.sign(d);
  };
  const Result<HelperReport> report = run(body, events);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(asked, digest);
  EcdsaSignature signature{};
  ASSERT_EQ(report.value().origin().size(), signature.size());
  std::copy_n(report.value().origin().begin(), signature.size(), signature.begin());
  EXPECT_TRUE(verify_p256(origin.trusted().keys[0].point, digest, signature));

  events.sign = [](const Digest&) -> Result<EcdsaSignature> {
    return Error{Code::locked, "The TPM is locked.", 0x921};
  };
  const Result<HelperReport> locked = run(body, events);
  ASSERT_FALSE(locked.ok());
  EXPECT_EQ(locked.error().code, Code::locked);
  EXPECT_EQ(locked.error().cause, 0x921U);
  EXPECT_FALSE(run(body).ok()) << "a parent that cannot sign";
}

TEST(HelperTest, TheParentGetsAnApproval) {
  const Body body = [](HelperChannel& channel) -> Result<HelperReport> {
    CKPTSEAL_ASSIGN(const Bytes answer, channel.approve(as_bytes("please")));
    HelperReport out;
    out.set_origin(answer.data(), answer.size());
    return out;
  };
  HelperEvents events;
  Bytes answer = {0, 0xff, '\n'};
  events.approve = [&](ByteView request) -> Result<Bytes> {
    EXPECT_EQ(as_text(request), "please");
    return answer;
  };
  for (const std::size_t size : {3U, 0U, 4096U}) {
    answer.resize(size, 7);
    const Result<HelperReport> report = run(body, events);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_TRUE(same_bytes(as_bytes(report.value().origin()), answer));
  }
  answer.resize(4097);
  EXPECT_FALSE(run(body, events).ok()) << "an answer that is too long";
  events.approve = [](ByteView) -> Result<Bytes> {
    return Error{Code::revoked, "Not any more.", EINTR};
  };
  const Result<HelperReport> refused = run(body, events);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::revoked);
  EXPECT_EQ(refused.error().cause, static_cast<std::uint32_t>(EINTR));
  EXPECT_FALSE(run(body).ok()) << "a parent that asks nobody";
  bool asked = false;
  events.approve = [&](ByteView) -> Result<Bytes> {
    asked = true;
    return Bytes();
  };
  const std::string much(4097, 'x');
  EXPECT_FALSE(run(
                   [&](HelperChannel& channel) -> Result<HelperReport> {
                     CKPTSEAL_TRY(channel.approve(as_bytes(much)));
                     return HelperReport();
                   },
                   events)
                   .ok());
  EXPECT_FALSE(asked);
}

TEST(HelperTest, AHelperThatIsKilledIsOneSentence) {
  for (const int number : {SIGKILL, SIGTERM}) {
    const Result<HelperReport> report = run([&](HelperChannel&) -> Result<HelperReport> {
      signal(number, SIG_DFL);
      kill(getpid(), number);
      for (;;) pause();
    });
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, Code::failed);
    EXPECT_TRUE(is_sentence(report.error().message)) << report.error().message;
    EXPECT_NE(report.error().message.find("signal " + std::to_string(number)), std::string::npos);
  }
}

TEST(HelperTest, AHelperThatIsKilledBeforeItReadAnAnswerIsTheSameSentence) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok() && write_full(pipe.value().write_end.get(), as_bytes("a")).ok());
  HelperEvents events;
  events.outside_fd = pipe.value().read_end.get();
  events.outside = []() -> Result<bool> { return true; };
  const Result<HelperReport> report = run(
      [](HelperChannel& channel) -> Result<HelperReport> {
        pollfd watched = {channel.fd(), POLLIN, 0};
        if (poll(&watched, 1, -1) == 1) kill(getpid(), SIGKILL);
        for (;;) pause();
      },
      events);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("signal 9"), std::string::npos) << report.error().message;
}

TEST(HelperTest, AHelperThatIsKilledWhileItWaitsForASignatureIsTheSameSentence) {
  pid_t helper = 0;
  HelperEvents events;
  events.warning = [&](const std::string& pid) { helper = std::stoi(pid); };
  events.sign = [&](const Digest&) -> Result<EcdsaSignature> {
    siginfo_t ended = {};
    kill(helper, SIGKILL);
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(helper), &ended, WEXITED | WNOWAIT), 0);
    return EcdsaSignature{};
  };
  const Result<HelperReport> report = run(
      [](HelperChannel& channel) -> Result<HelperReport> {
        CKPTSEAL_TRY(channel.warn(std::to_string(getpid())));
        CKPTSEAL_TRY(channel.sign(Digest{}));
        return HelperReport();
      },
      events);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("signal 9"), std::string::npos) << report.error().message;
}

TEST(HelperTest, AForbiddenCallIsOneSentence) {
  const Result<HelperReport> report = run([](HelperChannel&) -> Result<HelperReport> {
    CKPTSEAL_TRY(enter_sandbox());
    (void)!open("/etc/passwd", O_RDONLY);
    return HelperReport();
  });
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("signal " + std::to_string(SIGSYS)), std::string::npos);
}

TEST(HelperTest, AHelperThatLeavesWithoutAWordIsAFailure) {
  for (const int code : {0, 1, 7}) {
    const Result<HelperReport> report =
        run([&](HelperChannel&) -> Result<HelperReport> { _exit(code); });
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, Code::failed);
    EXPECT_TRUE(is_sentence(report.error().message)) << report.error().message;
    EXPECT_EQ(report.error().message.find("signal 0"), std::string::npos) << report.error().message;
  }
}

TEST(HelperTest, NoChildIsLeft) {
  (void)run([](HelperChannel&) -> Result<HelperReport> { return HelperReport(); });
  (void)run([](HelperChannel&) -> Result<HelperReport> { _exit(3); });
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

// The helper, in the sandbox or before it, holds the write end alone; when its parent is killed the
// pipe closes.
void helper_dies_with_its_parent(bool in_sandbox) {
  Result<Pipe> alive = make_pipe();
  ASSERT_TRUE(alive.ok());
  Result<Child> parent = Child::fork([&] {
    const int write_end = alive.value().write_end.get();
    const std::vector<int> keep = {write_end};
    const Result<HelperReport> report =
        run_in_helper(keep,
                      [&](HelperChannel&) -> Result<HelperReport> {
                        if (in_sandbox) CKPTSEAL_TRY(enter_sandbox());
                        CKPTSEAL_TRY(write_full(write_end, as_bytes("r")));
                        for (;;) poll(nullptr, 0, -1);
                      },
                      {});
    return report.ok() ? 0 : 1;
  });
  ASSERT_TRUE(parent.ok());
  alive.value().write_end.reset();
  Bytes byte(1);
  ASSERT_EQ(read_full(alive.value().read_end.get(), byte).value(), 1U);
  parent.value().signal(SIGKILL);
  ASSERT_TRUE(parent.value().wait().ok());
  EXPECT_EQ(read_full(alive.value().read_end.get(), byte).value(), 0U);
}
TEST(HelperTest, DiesWithItsParent) { helper_dies_with_its_parent(false); }
TEST(HelperTest, DiesWithItsParentFromTheSandbox) { helper_dies_with_its_parent(true); }

TEST(HelperTest, HasTheDescriptorsOfTheListAndNoOthers) {
  Result<Pipe> pipe = make_pipe();
  Result<Pipe> other = make_pipe();
  ASSERT_TRUE(pipe.ok() && other.ok());
  const std::vector<int> keep = {pipe.value().read_end.get(), 0, 0, -1};
  const Result<HelperReport> report = run_in_helper(
      keep,
      [&](HelperChannel&) -> Result<HelperReport> {
        HelperReport out;
        std::uint64_t open_ones = 0;
        for (int fd = 3; fd < 1024; ++fd) {
          if (fcntl(fd, F_GETFD) < 0) continue;
          ++open_ones;
          // Its own socket is the only one beside the list.
          if (fd == other.value().read_end.get() || fd == other.value().write_end.get() ||
              fd == pipe.value().write_end.get()) {
            return Error{Code::failed, "a descriptor was inherited", 0};
          }
        }
        out.set_file_size(open_ones);
        out.set_exclusive(fcntl(keep[0], F_GETFD) >= 0);
        return out;
      },
      {});
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().file_size(), 2U);
  EXPECT_TRUE(report.value().exclusive());
}

TEST(HelperTest, IsHardenedFromItsFirstLine) {
  const Result<HelperReport> report = run([](HelperChannel&) -> Result<HelperReport> {
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
      return Error{Code::failed, "it is not hardened", 0};
    }
    return HelperReport();
  });
  EXPECT_TRUE(report.ok()) << report.error().message;
}

// Polls as the loops of criu/ do.
Result<HelperReport> wait_for_finish(HelperChannel& channel) {
  pollfd watched = {channel.fd(), POLLIN, 0};
  if (poll(&watched, 1, -1) != 1) return Error{};
  CKPTSEAL_ASSIGN(const bool finish, channel.finish_asked());
  HelperReport report;
  report.set_generation(finish ? 1 : 2);
  return report;
}

TEST(HelperTest, TheOutsideCanTellItToFinish) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok() && write_full(pipe.value().write_end.get(), as_bytes("ab")).ok());
  int asked = 0;
  HelperEvents events;
  events.outside_fd = pipe.value().read_end.get();
  events.outside = [&]() -> Result<bool> {
    Bytes byte(1);
    (void)read_full(events.outside_fd, byte);
    return ++asked == 2;
  };
  const Result<HelperReport> report = run(wait_for_finish, events);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().generation(), 1U);
  EXPECT_EQ(asked, 2) << "until it says so, and no more";
}

// Runs `body` beside an outside that fails at once.
Result<HelperReport> run_beside_failure(const Body& body) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  pipe.write_end.reset();
  HelperEvents events;
  events.outside_fd = pipe.read_end.get();
  events.outside = []() -> Result<bool> { return Error{Code::revoked, "CRIU ended.", 0}; };
  return run(body, events);
}

TEST(HelperTest, AnOutsideThatFailsEndsIt) {
  const Result<HelperReport> report = run_beside_failure(wait_for_finish);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::revoked);
  EXPECT_EQ(report.error().message, "CRIU ended.");
}

TEST(HelperTest, AnOutsideThatFailsIsHeardOfASilentHelper) {
  const Result<HelperReport> report =
      run_beside_failure([](HelperChannel&) -> Result<HelperReport> {
        pause();
        return HelperReport();
      });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message, "CRIU ended.");
}

// What the helper met first is why the outside failed; that its peer is gone is not.
TEST(HelperTest, ItsOwnFailureCountsMoreThanThatOfTheOutside) {
  const auto fails_with = [](std::uint32_t cause) {
    return [cause](HelperChannel& channel) -> Result<HelperReport> {
      (void)wait_for_finish(channel);
      return Error{Code::failed, "The disk is full.", cause};
    };
  };
  const Result<HelperReport> full = run_beside_failure(fails_with(ENOSPC));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().message, "The disk is full.");
  const Result<HelperReport> gone = run_beside_failure(fails_with(ECONNRESET));
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().message, "CRIU ended.");
}

TEST(HelperTest, ItsReadersAreStoppedBeforeItEnds) {
  for (const bool works : {true, false}) {
    int stopped = 0;
    HelperEvents events;
    events.stop_reader = [&]() -> Status {
      ++stopped;
      return works ? Status() : Error{Code::unavailable, "It does not end.", 0};
    };
    const Result<HelperReport> report = run(
        [](HelperChannel& channel) -> Result<HelperReport> {
          CKPTSEAL_TRY(channel.stop_reader());
          return Error{Code::integrity, "a chunk was altered", 0};
        },
        events);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, works ? Code::integrity : Code::unavailable);
    EXPECT_EQ(stopped, 1);
  }
}

// Its answer may cross with what the parent says by itself.
TEST(HelperTest, AFinishThatCrossesAQuestionIsNotItsAnswer) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok() && write_full(pipe.value().write_end.get(), as_bytes("a")).ok());
  HelperEvents events;
  events.outside_fd = pipe.value().read_end.get();
  events.outside = []() -> Result<bool> { return true; };
  events.sign = [](const Digest&) -> Result<EcdsaSignature> { return EcdsaSignature{7}; };
  const Result<HelperReport> report = run(
      [](HelperChannel& channel) -> Result<HelperReport> {
        pollfd watched = {channel.fd(), POLLIN, 0};
        if (poll(&watched, 1, -1) != 1) return Error{};
        CKPTSEAL_ASSIGN(const EcdsaSignature signature, channel.sign(Digest{}));
        HelperReport out;
        out.set_generation(signature[0]);
        return out;
      },
      events);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().generation(), 7U);
}

}  // namespace
}  // namespace ckptseal
