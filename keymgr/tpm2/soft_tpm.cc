// SPDX-License-Identifier: Apache-2.0
//
// swtpm_setup once, swtpm as a child, TPM2_Startup and TPM2_Shutdown around its life (TPM 2.0 Part
// 1, "TPM Operational States").
#include "keymgr/tpm2/soft_tpm.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/output_file.h"
#include "keymgr/tpm2/esys_internal.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds manufacture_patience{120'000};
constexpr std::chrono::milliseconds start_patience{20'000};
constexpr std::chrono::milliseconds stop_patience{10'000};
// One that does not answer does not hear a signal either.
constexpr std::chrono::milliseconds stop_patience_when_hung{500};
constexpr std::chrono::milliseconds answer_patience{5'000};
constexpr std::chrono::milliseconds start_step{5};

std::string state_folder(const std::string& folder) { return folder + "/state"; }
std::string socket_path(const std::string& folder) { return folder + "/sock"; }

Error not_installed(std::string_view program) {
  return {Code::unavailable,
          fmt::format("The software TPM needs {}, which is not installed: install the packages "
                      "swtpm and swtpm-tools, or name a TPM with --tpm.",
                      program),
          ENOENT};
}

// A program that cannot be executed exits with 127 (base/process.h).
Status require_program(const std::string& program) {
  CKPTSEAL_ASSIGN(Child child, Child::start({program, "--version"}, {}));
  CKPTSEAL_ASSIGN(const std::optional<ExitStatus> status, child.wait(start_patience));
  if (status && status->code == 127) return not_installed(program);
  return {};
}

Status make_folder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return system_error(fmt::format("Cannot make the folder {}", path), errno);
}

Status write_text(const std::string& path, const std::string& text) {
  return write_file(path, as_bytes(text), 0600, OutputFile::Replace::allowed);
}

// So that no file outside `folder` is read or written: the system's swtpm configuration would sign
// with a CA that all users of this machine share.
Status write_configuration(const std::string& folder) {
  const std::string ca = folder + "/ca";
  CKPTSEAL_TRY(make_folder(ca));
  CKPTSEAL_TRY(write_text(ca + "/localca.conf", fmt::format("statedir = {0}\n"
                                                            "signingkey = {0}/signkey.pem\n"
                                                            "issuercert = {0}/issuercert.pem\n"
                                                            "certserial = {0}/certserial\n",
                                                            ca)));
  CKPTSEAL_TRY(write_text(ca + "/localca.options",
                          "--platform-manufacturer ckpt-seal\n"
                          "--platform-version 1\n"
                          "--platform-model software\n"));
  return write_text(ca + "/setup.conf",
                    fmt::format("create_certs_tool = swtpm_localca\n"
                                "create_certs_tool_config = {0}/localca.conf\n"
                                "create_certs_tool_options = {0}/localca.options\n"
                                "active_pcr_banks = sha256\n",
                                ca));
}

Result<std::string> absolute(const std::string& folder) {
  std::error_code error;
  const fs::path path = fs::absolute(folder, error);
  if (error) return system_error(fmt::format("Cannot find the folder {}", folder), error.value());
  return path.string();
}

Status check_socket_path(const std::string& folder) {
  // The control socket has the longest name.
  const std::size_t size = (socket_path(folder) + ".ctrl").size();
  constexpr std::size_t largest = sizeof(sockaddr_un{}.sun_path) - 1;
  if (size <= largest) return {};
  return Error{
      Code::usage,
      fmt::format("The folder {} is too deep for the sockets of the software TPM ({} bytes, "
                  "{} at most): name a shorter one with --state.",
                  folder, size, largest),
      ENAMETOOLONG};
}

// TPM2_Startup: resumes what stop() saved; after a power cut there is nothing, and PCRs are zero.
Status start_up(const std::string& tcti) {
  CKPTSEAL_ASSIGN(TpmConnection connection, TpmConnection::open(tcti, answer_patience));
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  const TSS2_RC resumed = Esys_Startup(context.get(), TPM2_SU_STATE);
  if (resumed == TSS2_RC_SUCCESS || connection.dead()) {
    return context.check(resumed, TpmOperation::connect);
  }
  return context.check(Esys_Startup(context.get(), TPM2_SU_CLEAR), TpmOperation::connect);
}

Status shut_down(const std::string& tcti) {
  CKPTSEAL_ASSIGN(TpmConnection connection, TpmConnection::open(tcti, answer_patience));
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  return context.check(
      Esys_Shutdown(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_SU_STATE),
      TpmOperation::connect);
}

bool nobody_listens_yet(const Error& error) {
  return error.cause == ENOENT || error.cause == ECONNREFUSED;
}

Status wait_until_up(Child& child, const std::string& tcti, const std::string& folder) {
  const auto deadline = std::chrono::steady_clock::now() + start_patience;
  for (;;) {
    Status up = start_up(tcti);
    if (up.ok() || !nobody_listens_yet(up.error())) return up;
    CKPTSEAL_ASSIGN(const std::optional<ExitStatus> ended, child.wait(start_step));
    if (ended && ended->code == 127) return not_installed("swtpm");
    if (ended || std::chrono::steady_clock::now() >= deadline) {
      return Error{Code::unavailable,
                   fmt::format("The software TPM does not start: {}/log says why.", folder), 0};
    }
  }
}

// The swtpm of a command that was killed ends a moment after it, and takes its socket's name along.
// So each inherits this lock, and the next waits for it.
Result<UniqueFd> wait_for_earlier(const std::string& root) {
  const std::string path = root + "/running";
  UniqueFd lock(open(path.c_str(), O_RDWR | O_CREAT, 0600));  // swtpm inherits it
  if (!lock.valid()) return system_error(fmt::format("Cannot open {}", path), errno);
  const auto end = std::chrono::steady_clock::now() + start_patience;
  while (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return system_error(fmt::format("Cannot lock {}", path), errno);
    }
    if (std::chrono::steady_clock::now() > end) {
      return Error{Code::unavailable,
                   fmt::format("An earlier swtpm still runs on {}: end it, or try again.", root),
                   0};
    }
    std::this_thread::sleep_for(start_step);
  }
  return lock;
}

}  // namespace

bool SoftTpm::exists(const std::string& folder) {
  std::error_code error;
  return fs::is_directory(state_folder(folder), error);
}

Status SoftTpm::create(const std::string& folder) {
  CKPTSEAL_TRY(require_program("swtpm_setup"));
  CKPTSEAL_ASSIGN(const std::string root, absolute(folder));
  if (exists(root)) {
    return Error{Code::failed,
                 fmt::format("There is a software TPM in {} already: use it, or remove that folder "
                             "and with it what only this TPM opens.",
                             root),
                 EEXIST};
  }
  CKPTSEAL_TRY(make_folder(root));
  CKPTSEAL_TRY(write_configuration(root));
  const std::string unfinished = root + "/unfinished";
  std::error_code error;
  fs::remove_all(unfinished, error);
  CKPTSEAL_TRY(make_folder(unfinished));
  Result<std::string> made =
      run_program({"swtpm_setup", "--tpm2", "--tpmstate", unfinished, "--config",
                   root + "/ca/setup.conf", "--createek", "--create-ek-cert",
                   "--create-platform-cert", "--lock-nvram", "--logfile", root + "/log"},
                  manufacture_patience);
  if (!made.ok()) {
    fs::remove_all(unfinished, error);
    return Error{Code::unavailable,
                 fmt::format("The software TPM cannot be made: {}/log says why.", root),
                 made.error().cause};
  }
  fs::rename(unfinished, state_folder(root), error);
  if (error) return system_error("Cannot name the folder of the software TPM", error.value());
  return {};
}

Result<SoftTpm> SoftTpm::start(const std::string& folder) {
  CKPTSEAL_ASSIGN(const std::string root, absolute(folder));
  CKPTSEAL_TRY(check_socket_path(root));
  if (!exists(root)) {
    return Error{
        Code::unavailable,
        fmt::format("There is no software TPM in {}: run ckpt-seal provision --tpm soft.", root),
        ENOENT};
  }
  const std::string socket = socket_path(root);
  CKPTSEAL_ASSIGN(const UniqueFd lock, wait_for_earlier(root));
  std::error_code error;
  fs::remove(socket, error);  // of one that was killed; the lock says that none runs
  fs::remove(socket + ".ctrl", error);
  CKPTSEAL_ASSIGN(Child child, Child::start({"swtpm", "socket", "--tpm2", "--tpmstate",
                                             fmt::format("dir={}", state_folder(root)), "--server",
                                             fmt::format("type=unixio,path={}", socket), "--ctrl",
                                             fmt::format("type=unixio,path={}.ctrl", socket),
                                             "--flags", "not-need-init", "--log",
                                             fmt::format("file={}/log,level=1,truncate", root)},
                                            {}));
  const std::string tcti = fmt::format("swtpm:path={}", socket);
  CKPTSEAL_TRY(wait_until_up(child, tcti, root));
  return SoftTpm(std::move(child), tcti);
}

SoftTpm::SoftTpm(SoftTpm&& other) noexcept
    : child_(std::exchange(other.child_, std::nullopt)), tcti_(std::move(other.tcti_)) {}

Status SoftTpm::stop() {
  if (!child_) return {};
  Status saved = shut_down(tcti_);
  child_->signal(SIGTERM);
  const Result<std::optional<ExitStatus>> ended =
      child_->wait(saved.ok() ? stop_patience : stop_patience_when_hung);
  child_.reset();  // with SIGKILL, should it still be there
  if (!ended.ok()) return ended.error();
  return saved;
}

SoftTpm::~SoftTpm() { (void)stop().ok(); }

}  // namespace ckptseal
