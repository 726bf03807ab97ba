// SPDX-License-Identifier: Apache-2.0
//
// Whom a slot is for, as --to, --add and --remove name them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/host_access.h"
#include "cli/passphrase_source.h"
#include "sealing/header_change.h"

namespace ckptseal {

class Recipients {
 public:
  // Finds and checks those of these names: self, passphrase, a trusted host, a host record file.
  static Result<Recipients> find(const HostAccess& host, const std::vector<std::string>& names);

  bool empty() const { return records_.empty() && !passphrase_wanted_; }
  bool only_passphrases() const { return records_.empty() && passphrase_wanted_; }
  bool have_passphrase() const { return passphrase_wanted_; }
  // Of what protects less than one may think. `recovery` says that something else opens the file
  // when a host no longer can.
  void warn(Console& console, bool recovery) const;

  // The source of the passphrase, if one is wanted: what a dry run does without.
  Status open(int passphrase_fd);
  // After open(); refers to this.
  RecipientFactory factory() const;
  std::vector<int> descriptors() const;  // what that needs

  Json names() const;
  // Each with `name` and `fingerprint`, for the journal.
  Json records() const;

 private:
  std::vector<SignedHostRecord> records_;
  bool passphrase_wanted_ = false;
  std::optional<PassphraseSource> passphrase_;
};

// The slots that `name` stands for: the number of one; passphrase; the fingerprint of a host
// record, or what names a recipient. Code::usage for what cannot be a slot.
Result<SlotRemoval> slots_named(const HostAccess& host, const std::string& name);

}  // namespace ckptseal
