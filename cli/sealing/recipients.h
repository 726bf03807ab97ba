// SPDX-License-Identifier: Apache-2.0
//
// Whom a slot is for, as --to and --add name them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/host_access.h"
#include "cli/passphrase_source.h"
#include "cli/sealing/key_files.h"
#include "cli/sealing/recovery_paper.h"
#include "keymgr/pkcs11/token_uri.h"
#include "policies/policy_document.h"
#include "sealing/jobs.h"

namespace ckptseal {

class Recipients {
 public:
  // Finds and checks those of these names: self, passphrase, recovery, a trusted host, a file with
  // a host record, a certificate or a public key, a pkcs11: URI. So many as `threshold` of them are
  // needed together. With issuers a key for which they cannot vouch is refused. A `policy_file`
  // (policies/policy_document.h), if one is named, is for the hosts with a TPM among them, in place
  // of what their records say.
  static Result<Recipients> find(const HostAccess& host, const std::vector<std::string>& names,
                                 std::size_t threshold, const IssuerOptions& issuers,
                                 const std::string& policy_file);

  bool empty() const { return count() == 0; }
  std::size_t count() const { return hosts_.size() + count_others(); }
  bool only_passphrases() const { return passphrase_ && count() == 1; }
  std::size_t threshold() const { return threshold_; }
  // Something opens the file when no host can any more.
  bool open_without_hosts() const { return count_others() >= threshold_; }
  bool have_recovery() const { return recovery_; }
  // What the policy file says beside the policy.
  const UseLimits& limits() const { return limits_; }
  // Of the slot of a host with a TPM.
  bool have_pin() const;
  // Code::usage when some are post-quantum keys and some are not. The message is a clause about the
  // sealed file.
  Status check_kinds() const;
  // Of what protects less than one may think. `recovery` says that something else opens the file
  // when a host no longer can.
  void warn(Console& console, bool recovery) const;

  // The source of PIN and passphrase, if one is wanted: what a dry run does without.
  Status open(int passphrase_fd);
  // After open(); refers to this. A recovery key is made in the helper, which writes it on `paper`,
  // if there is one, and does not print it.
  RecipientFactory factory(std::shared_ptr<RecoveryPaper> paper) const;
  std::vector<int> descriptors() const;  // what that needs

  Json names() const;
  // Each with `name`, `identity` and `fingerprint`, for the journal.
  Json records() const;

 private:
  struct Host {
    SignedHostRecord record;
    Policy policy;  // empty for one with a token
  };
  Status add(const HostAccess& host, const std::string& name);
  Status choose_policies(const std::string& policy_file);
  Status check_threshold() const;
  std::size_t count_others() const {
    return keys_.size() + tokens_.size() + (recovery_ ? 1 : 0) + (passphrase_ ? 1 : 0);
  }
  Result<bool> add_key_file(const std::string& path);

  std::vector<Host> hosts_;
  std::vector<NamedKey> keys_;
  std::vector<TokenUri> tokens_;
  std::size_t threshold_ = 1;
  UseLimits limits_;
  std::optional<ChainInputs> chain_;  // what each certificate is held against
  bool recovery_ = false;
  bool passphrase_ = false;
  std::optional<PassphraseSource> source_;
};

}  // namespace ckptseal
