// SPDX-License-Identifier: Apache-2.0
//
// The embedded software TPM: its PCRs last as long as it is stopped in order, nothing of it stays
// running, and many programs take turns at it.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/soft_tpm.h"
#include "keymgr/tpm2/tpm_lock.h"
#include "own_tpm.h"

namespace ckptseal {
namespace {

class SoftTpmTest : public ::testing::Test {
 protected:
  SoftTpmTest() { testing::copy_tpm("a", tpm_folder()); }
  std::string tpm_folder() const { return folder_.path() + "/tpm"; }
  static Digest pcr_8(const SoftTpm& tpm) {
    TpmConnection connection = TpmConnection::open(tpm.tcti()).value();
    return read_pcrs(connection, PcrSelection::of_mask(0x100).value()).value().values.at(0);
  }
  testing::ShortFolder folder_;
};

TEST_F(SoftTpmTest, PcrsLastFromStopToStartAndNotThroughAPowerCut) {
  Digest extended{};
  {
    const testing::OwnTpm zero;  // the same TPM, freshly started
    TpmConnection connection = zero.connect();
    ASSERT_TRUE(
        all_zero(read_pcrs(connection, PcrSelection::of_mask(0x100).value()).value().values.at(0)));
  }
  {
    SoftTpm tpm = SoftTpm::start(tpm_folder()).value();
    testing::extend_pcr(tpm.tcti(), 8);
    extended = pcr_8(tpm);
    ASSERT_FALSE(all_zero(extended));
    const Status stopped = tpm.stop();
    ASSERT_TRUE(stopped.ok()) << stopped.error().message;
    EXPECT_EQ(tpm.pid(), -1);
  }
  pid_t pid = -1;
  {
    const SoftTpm tpm = SoftTpm::start(tpm_folder()).value();
    EXPECT_EQ(pcr_8(tpm), extended);
    pid = tpm.pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);  // gone with its owner
  {
    const SoftTpm tpm = SoftTpm::start(tpm_folder()).value();
    EXPECT_EQ(pcr_8(tpm), extended);
    kill(tpm.pid(), SIGKILL);
  }
  const SoftTpm tpm = SoftTpm::start(tpm_folder()).value();
  EXPECT_TRUE(all_zero(pcr_8(tpm)));
}

// A swtpm that is stopped outlives its command for as long as that takes.
TEST_F(SoftTpmTest, TheNextWaitsForTheOneOfACommandThatWasKilled) {
  Pipe pipe = std::move(make_pipe()).value();
  Child command = Child::fork([&] {
                    const SoftTpm tpm = SoftTpm::start(tpm_folder()).value();
                    const pid_t pid = tpm.pid();
                    (void)write(pipe.write_end.get(), &pid, sizeof pid);
                    return pause();
                  }).value();
  pid_t earlier = -1;
  ASSERT_EQ(read(pipe.read_end.get(), &earlier, sizeof earlier), ssize_t{sizeof earlier});
  ASSERT_EQ(kill(earlier, SIGSTOP), 0);
  command.signal(SIGKILL);
  ASSERT_TRUE(command.wait().ok());
  std::atomic<bool> has_started = false;
  std::atomic<bool> waited = false;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    waited = !has_started;
    kill(earlier, SIGCONT);
  });
  const Result<SoftTpm> started = SoftTpm::start(tpm_folder());
  has_started = true;
  later.join();
  ASSERT_TRUE(started.ok()) << started.error().message;
  EXPECT_TRUE(waited);
  EXPECT_TRUE(all_zero(pcr_8(started.value())));
}

TEST_F(SoftTpmTest, CreateDoesNotReplace) {
  ASSERT_TRUE(SoftTpm::exists(tpm_folder()));
  const Status again = SoftTpm::create(tpm_folder());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Code::failed);
}

TEST_F(SoftTpmTest, AFolderThatIsTooDeep) {
  const std::string deep = folder_.path() + "/" + std::string(100, 'd');
  std::filesystem::create_directories(deep + "/state");
  const Result<SoftTpm> tpm = SoftTpm::start(deep);
  ASSERT_FALSE(tpm.ok());
  EXPECT_EQ(tpm.error().code, Code::usage);
  EXPECT_NE(tpm.error().message.find("--state"), std::string::npos);
}

TEST_F(SoftTpmTest, NoneThere) {
  const Result<SoftTpm> tpm = SoftTpm::start(folder_.path() + "/none");
  ASSERT_FALSE(tpm.ok());
  EXPECT_EQ(tpm.error().code, Code::unavailable);
}

TEST_F(SoftTpmTest, ADamagedStateDoesNotStart) {
  for (const auto& file : std::filesystem::directory_iterator(tpm_folder() + "/state")) {
    if (file.is_regular_file()) std::filesystem::resize_file(file.path(), 100);
  }
  const Result<SoftTpm> tpm = SoftTpm::start(tpm_folder());
  ASSERT_FALSE(tpm.ok());
  EXPECT_EQ(tpm.error().code, Code::unavailable) << tpm.error().message;
}

TEST_F(SoftTpmTest, TheLockHasALimit) {
  const std::string path = folder_.path() + "/lock";
  const TpmLock held = TpmLock::take(path).value();
  const Result<TpmLock> second = TpmLock::take(path, std::chrono::milliseconds(50));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::unavailable);
}

TEST_F(SoftTpmTest, TwentyProcessesTakeTurns) {
  const auto body = [this] {
    Result<TpmLock> lock = TpmLock::take(folder_.path() + "/lock");
    if (!lock.ok()) return 1;
    Result<SoftTpm> tpm = SoftTpm::start(tpm_folder());
    if (!tpm.ok()) return 2;
    testing::extend_pcr(tpm.value().tcti(), 8);
    if (all_zero(pcr_8(tpm.value()))) return 3;
    return tpm.value().stop().ok() ? 0 : 4;
  };
  std::vector<Child> children;
  children.reserve(20);
  for (int i = 0; i < 20; ++i) children.push_back(Child::fork(body).value());
  for (Child& child : children) {
    const Result<ExitStatus> status = child.wait();
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status.value().code, 0);
  }
  // Each of them extended the PCR once, none was lost.
  Digest expected{};
  Digest measured{};
  measured[0] = 1;
  for (int i = 0; i < 20; ++i) expected = Sha256().update(expected).update(measured).finish();
  EXPECT_EQ(pcr_8(SoftTpm::start(tpm_folder()).value()), expected);
}

}  // namespace
}  // namespace ckptseal
