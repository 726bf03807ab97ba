// SPDX-License-Identifier: Apache-2.0
//
// The state folder is believed only if nobody else can have written to it. docs/state.md, "Who may
// write".
#include "provisioning/state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "fake_provisioning_tpm.h"
#include "provisioning/provision.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

class StateTest : public testing::Test {
 protected:
  StateTest() {
    std::string name = "/tmp/cks-state-XXXXXX";
    base = mkdtemp(name.data());
    state = std::make_unique<State>(base + "/state");
  }
  ~StateTest() override { fs::remove_all(base); }
  StateTest(const StateTest&) = delete;
  StateTest& operator=(const StateTest&) = delete;

  void provision() {
    ProvisionRequest request;
    request.default_name = "host-a";
    request.now = 1000;
    ASSERT_TRUE(provision_host(*state, request, chip.opener()).ok());
  }

  std::string base;
  std::unique_ptr<State> state;
  test::FakeChip chip;
};

template <typename T>
void expect_error(const Result<T>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << words;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
}

TEST_F(StateTest, WithoutProvisioningThereIsNone) {
  expect_error(state->check(), Code::failed, "not provisioned");
  EXPECT_EQ(state->check().error().cause, static_cast<std::uint32_t>(ENOENT));
  expect_error(verify_own_record(*state), Code::failed, "run ckpt-seal provision");
}

TEST_F(StateTest, IsMadeInAFolderThatExists) {
  EXPECT_TRUE(state->create().ok());
  EXPECT_TRUE(state->check().ok());
  EXPECT_TRUE(state->create().ok());
  EXPECT_FALSE(State(base + "/none/state").create().ok());
}

TEST_F(StateTest, OthersMayNotEnter) {
  ASSERT_TRUE(state->create().ok());
  for (const std::string& folder : {state->folder(), state->tpm_folder()}) {
    for (mode_t mode : {0750U, 0705U, 0720U}) {
      ASSERT_EQ(chmod(folder.c_str(), mode), 0);
      expect_error(state->check(), Code::failed, "chmod 700");
      expect_error(state->create(), Code::failed, "chmod 700");
    }
    ASSERT_EQ(chmod(folder.c_str(), 0700), 0);
  }
  EXPECT_TRUE(state->check().ok());
}

TEST_F(StateTest, OthersMayNotOwnIt) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  ASSERT_TRUE(state->create().ok());
  ASSERT_EQ(chown(state->folder().c_str(), 65534, 65534), 0);
  expect_error(state->check(), Code::failed, "belongs to user 65534");
}

TEST_F(StateTest, SymbolicLinksAreRefused) {
  ASSERT_TRUE(State(base + "/real").create().ok());
  fs::create_directory_symlink(base + "/real", state->folder());
  expect_error(state->check(), Code::failed, "symbolic link");
  expect_error(state->create(), Code::failed, "symbolic link");
}

TEST_F(StateTest, ItsFilesMustBeRegularAndOurs) {
  provision();
  for (const std::string& path : {state->record_path(), state->keys_path(), state->tcti_path()}) {
    const auto read = [&] {
      return state->record().ok() && state->keys().ok() && state->tcti().ok();
    };
    ASSERT_TRUE(read());
    ASSERT_EQ(chmod(path.c_str(), 0622), 0);
    EXPECT_FALSE(read()) << path;
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
    fs::rename(path, base + "/moved");
    fs::create_symlink(base + "/moved", path);
    EXPECT_FALSE(read()) << path;
    fs::remove(path);
    fs::rename(base + "/moved", path);
  }
}

TEST_F(StateTest, TctiIsOneLine) {
  ASSERT_TRUE(state->create().ok());
  EXPECT_FALSE(state->tcti().value().has_value());
  ASSERT_TRUE(state->write_tcti("swtpm:path=/tmp/x").ok());
  EXPECT_EQ(state->tcti().value(), "swtpm:path=/tmp/x");
  for (const std::string& text : {std::string("soft"), std::string("\n"), std::string("a\nb\n"),
                                  std::string("a b\n"), std::string()}) {
    std::ofstream(state->tcti_path(), std::ios::trunc) << text;
    expect_error(state->tcti(), Code::integrity, "one line");
  }
  for (const std::string& text :
       {std::string(), std::string("a b"), std::string("a\n"), std::string(1025, 'x')}) {
    expect_error(state->write_tcti(text), Code::usage, "--tpm");
  }
}

TEST_F(StateTest, TheOwnRecordIsOfTheOwnKeys) {
  provision();
  ASSERT_TRUE(verify_own_record(*state).ok());
  const test::SoftwareHost other;
  ASSERT_TRUE(state->write_record(other.record("host-a")).ok());
  expect_error(verify_own_record(*state), Code::integrity, "another host's");
}

TEST_F(StateTest, ADamagedRecordIsNotBelieved) {
  provision();
  std::ofstream(state->record_path(), std::ios::app) << "x";
  expect_error(verify_own_record(*state), Code::integrity, "This host's own record");
}

}  // namespace
}  // namespace ckptseal
