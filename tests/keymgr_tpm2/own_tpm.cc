// SPDX-License-Identifier: Apache-2.0
//
// Manufacture under a lock, copy, start, look for leaks, stop.
#include "own_tpm.h"

#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <stdexcept>

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/tpm_inventory.h"
#include "keymgr/tpm2/tpm_lock.h"

namespace ckptseal::testing {
namespace {

namespace fs = std::filesystem;

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
void must(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.error().message);
}

// The program that is tested logs to stderr through the TSS otherwise, also where a test wants
// errors.
const bool quiet = setenv("TSS2_LOG", "all+NONE", 0) == 0;

}  // namespace

ShortFolder::ShortFolder() {
  std::string name = "/tmp/cks-XXXXXX";
  if (!quiet || mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for a test");
  path_ = name;
}

ShortFolder::~ShortFolder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

std::string copy_tpm(const std::string& which, const std::string& into) {
  const fs::path all = CKPTSEAL_TEST_TPMS;
  fs::create_directories(all);
  const std::string original = all / which;
  {
    const TpmLock lock = must(TpmLock::take(all / "lock", std::chrono::seconds(250)));
    if (!SoftTpm::exists(original)) must(SoftTpm::create(original));
  }
  fs::copy(original, into, fs::copy_options::recursive);
  return into;
}

OwnTpm::OwnTpm(const std::string& which) {
  tpm_.emplace(must(SoftTpm::start(copy_tpm(which, folder_.path() + "/tpm"))));
}

OwnTpm::~OwnTpm() {
  if (killed_) return;
  ::kill(pid(), SIGCONT);  // a test that failed may have left it stopped
  EXPECT_EQ(loaded(), 0U) << "a handle was leaked";
}

TpmConnection OwnTpm::connect(std::chrono::milliseconds timeout) const {
  return must(TpmConnection::open(tcti(), timeout));
}

void extend_pcr(const std::string& tcti, unsigned pcr) {
  TpmConnection connection = must(TpmConnection::open(tcti));
  const EsysContext context = must(EsysContext::make(connection));
  TPML_DIGEST_VALUES digests{};
  digests.count = 1;
  digests.digests[0].hashAlg = TPM2_ALG_SHA256;
  digests.digests[0].digest.sha256[0] = 1;
  must(context.check(Esys_PCR_Extend(context.get(), ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD,
                                     ESYS_TR_NONE, ESYS_TR_NONE, &digests),
                     TpmOperation::connect));
}

void OwnTpm::kill() {
  killed_ = true;
  ::kill(pid(), SIGKILL);
}

std::size_t OwnTpm::loaded() const {
  TpmConnection connection = connect();
  const EsysContext context = must(EsysContext::make(connection));
  std::size_t out = 0;
  for (const TPM2_HANDLE first :
       {TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST, TPM2_POLICY_SESSION_FIRST}) {
    out += must(handles_in(context, first, 16)).size();
  }
  return out;
}

}  // namespace ckptseal::testing
