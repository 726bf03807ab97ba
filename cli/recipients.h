// SPDX-License-Identifier: Apache-2.0
//
// Whom a slot is for, as --to, --add and --remove name them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/host_access.h"
#include "cli/passphrase_source.h"
#include "keymgr/public_key/certificate.h"
#include "sealing/header_change.h"

namespace ckptseal {

class Recipients {
 public:
  // Finds and checks those of these names: self, passphrase, recovery, a trusted host, a file with
  // a host record, a certificate or a public key.
  static Result<Recipients> find(const HostAccess& host, const std::vector<std::string>& names);

  bool empty() const { return records_.empty() && keys_.empty() && !recovery_ && !passphrase_; }
  bool only_passphrases() const {
    return records_.empty() && keys_.empty() && !recovery_ && passphrase_;
  }
  // Something that opens the file when a host no longer can.
  bool have_more_than_hosts() const { return passphrase_ || recovery_ || !keys_.empty(); }
  bool have_recovery() const { return recovery_; }
  // Of what protects less than one may think. `recovery` says that something else opens the file
  // when a host no longer can.
  void warn(Console& console, bool recovery) const;

  // The source of the passphrase, if one is wanted: what a dry run does without.
  Status open(int passphrase_fd);
  // After open(); refers to this. A recovery key is made in the helper, which prints it to
  // `recovery_fd`, once, or with -1 keeps it to itself.
  RecipientFactory factory(int recovery_fd) const;
  std::vector<int> descriptors() const;  // what that needs

  Json names() const;
  // Each with `name` and `fingerprint`, for the journal.
  Json records() const;

 private:
  struct Key {
    PublicKey key;
    RecipientName name;
  };
  Status add(const HostAccess& host, const std::string& name);
  Result<bool> add_key_file(const std::string& path);

  std::vector<SignedHostRecord> records_;
  std::vector<Key> keys_;
  bool recovery_ = false;
  bool passphrase_ = false;
  std::optional<PassphraseSource> source_;
};

// The slots that `name` stands for: the number of one; passphrase; recovery; the fingerprint of
// a host record or the id of a key; or what names a recipient. Code::usage for what cannot be a
// slot.
Result<SlotRemoval> slots_named(const HostAccess& host, const std::string& name);

}  // namespace ckptseal
