// SPDX-License-Identifier: Apache-2.0
//
// swtpm as a child of the test, on two sockets in a folder with a short name.
#include "swtpm_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/output_file.h"

namespace ckptseal::test {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds patience{60'000};
constexpr milliseconds between_tries{2};
constexpr std::size_t largest_file = 1 << 16;

// Removes the folder unless something took it over.
struct Folder {
  ~Folder() {
    std::error_code ignored;
    if (!path.empty()) std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

bool listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::copy(path.begin(), path.end(), address.sun_path);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

Status wait_until_it_listens(Child& child, const std::string& socket_path) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!listens(socket_path)) {
    CKPTSEAL_ASSIGN(const std::optional<ExitStatus> ended, child.wait(between_tries));
    if (ended || std::chrono::steady_clock::now() >= deadline) {
      return Error{Code::unavailable,
                   ended && ended->code == 127 ? "swtpm is not installed." : "swtpm did not start.",
                   0};
    }
  }
  return {};
}

}  // namespace

Swtpm::Swtpm(std::string folder, Child child)
    : folder_(std::move(folder)), tcti_("swtpm:path=" + path("sock")), child_(std::move(child)) {}

Result<std::unique_ptr<Swtpm>> Swtpm::start() {
  Folder folder;
  std::string name = "/tmp/cks-tpm-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) return system_error("Cannot make a folder", errno);
  folder.path = name;
  const std::string sock = name + "/sock";
  CKPTSEAL_ASSIGN(
      Child child,
      Child::start({"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + name, "--server",
                    "type=unixio,path=" + sock, "--ctrl", "type=unixio,path=" + sock + ".ctrl",
                    "--flags", "not-need-init,startup-clear", "--log", "file=" + name + "/log"},
                   {}));
  CKPTSEAL_TRY(wait_until_it_listens(child, sock));
  folder.path.clear();
  return std::unique_ptr<Swtpm>(new Swtpm(name, std::move(child)));  // NOLINT: private constructor
}

Swtpm::~Swtpm() {
  child_.signal(SIGTERM);
  const auto ended = child_.wait(patience);
  EXPECT_TRUE(ended.ok() && ended.value().has_value()) << "swtpm did not end";
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Result<std::string> Swtpm::tool(std::vector<std::string> argv) const {
  argv.insert(argv.begin() + 1, {"-T", tcti_});
  return run_program(argv, patience);
}

Result<std::string> Swtpm::loaded_handles() const {
  CKPTSEAL_ASSIGN(std::string out, tool({"tpm2_getcap", "handles-transient"}));
  CKPTSEAL_ASSIGN(const std::string sessions, tool({"tpm2_getcap", "handles-loaded-session"}));
  return out + sessions;
}

void SwtpmTest::SetUp() {
  Result<std::unique_ptr<Swtpm>> started = Swtpm::start();
  ASSERT_TRUE(started.ok()) << started.error().message;
  tpm_ = std::move(started).value();
}

void SwtpmTest::TearDown() {
  if (!tpm_) return;
  const Result<std::string> leaked = tpm_->loaded_handles();
  ASSERT_TRUE(leaked.ok()) << leaked.error().message;
  EXPECT_EQ(leaked.value(), "") << "handles were left loaded";
  tpm_.reset();
}

std::string SwtpmTest::run(std::vector<std::string> argv) {
  const Result<std::string> out = tpm_->tool(std::move(argv));
  EXPECT_TRUE(out.ok()) << out.error().message;
  return out.ok() ? out.value() : std::string();
}

bool SwtpmTest::accepts(std::vector<std::string> argv) { return tpm_->tool(std::move(argv)).ok(); }

Bytes SwtpmTest::read(const std::string& name) {
  Result<Bytes> out = read_file(tpm_->path(name), largest_file, "the file " + name);
  EXPECT_TRUE(out.ok()) << out.error().message;
  return out.ok() ? std::move(out).value() : Bytes();
}

void SwtpmTest::write(const std::string& name, ByteView bytes) {
  const Status written = write_file(tpm_->path(name), bytes, 0600, OutputFile::Replace::allowed);
  EXPECT_TRUE(written.ok()) << written.error().message;
}

}  // namespace ckptseal::test
