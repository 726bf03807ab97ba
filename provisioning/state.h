// SPDX-License-Identifier: Apache-2.0
//
// The state folder of a provisioned host: where everything lies, and who may have written it.
// docs/state.md.
#pragma once

#include <optional>
#include <string>

#include "hosts/host_record.h"
#include "keymgr/pkcs11/host_token.h"
#include "keymgr/tpm2/keys.h"

namespace ckptseal {

// Of a host that has a PKCS #11 token and no TPM: docs/state.md, "token".
struct HostTokenState {
  std::string uri;  // as --hsm said
  HostTokenId id{};
};

class State {
 public:
  static constexpr const char* standard_folder = "/var/lib/ckpt-seal";

  // Touches nothing yet.
  explicit State(std::string folder) : folder_(std::move(folder)) {}

  const std::string& folder() const { return folder_; }
  std::string record_path() const { return folder_ + "/host.record"; }
  std::string tpm_folder() const { return folder_ + "/tpm"; }
  std::string tcti_path() const { return tpm_folder() + "/tcti"; }
  std::string keys_path() const { return tpm_folder() + "/keys"; }
  std::string token_path() const { return folder_ + "/token"; }
  std::string lock_path() const { return tpm_folder() + "/lock"; }
  std::string soft_tpm_folder() const { return tpm_folder() + "/soft"; }
  std::string trusted_folder() const { return folder_ + "/trusted"; }
  std::string approvals_folder() const { return folder_ + "/approvals"; }
  std::string tickets_path() const { return tpm_folder() + "/tickets"; }
  std::string opened_folder() const { return tpm_folder() + "/opened"; }
  std::string uses_path() const { return folder_ + "/uses"; }  // provisioning/use_file.h
  std::string journal_path() const { return folder_ + "/journal"; }

  // For provision alone: the folder and tpm/, 0700. The folder above must exist.
  Status create() const;
  // Code::failed when the host was never provisioned here (the cause is ENOENT then), or when
  // others may enter the folder.
  Status check() const;

  // Each after check(): nullopt when the file is not there, Code::integrity when it is damaged.
  Result<std::optional<std::string>> tcti() const;  // what --tpm said, for example "soft"
  Result<std::optional<TpmKeys>> keys() const;
  Result<std::optional<HostTokenState>> token() const;
  Result<std::optional<SignedHostRecord>> record() const;  // whatever its time

  Status write_tcti(const std::string& tcti) const;
  Status write_keys(const TpmKeys& keys) const;
  Status write_token(const HostTokenState& token) const;
  Status write_record(const SignedHostRecord& record) const;

 private:
  std::string folder_;
};

// The own record, checked against the keys or the token that stand beside it, for TrustStore:
// recipient `self` and an origin. Code::failed when the host is not provisioned, Code::integrity
// when the record is damaged or of other keys. It may have expired: TrustStore says so when it is
// used.
Result<SignedHostRecord> verify_own_record(const State& state);

}  // namespace ckptseal
