// SPDX-License-Identifier: Apache-2.0
//
// What the verbs share that make a sealed file: for whom it is, how it is encrypted and signed, and
// where it goes.
#pragma once

#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "cli/host_access.h"
#include "cli/sealing/limit_options.h"
#include "cli/sealing/recipients.h"
#include "sealing/jobs.h"

namespace ckptseal {

struct SealingOptions {
  std::string output = "-";  // "-": standard output
  std::vector<std::string> to;
  unsigned threshold = 1;  // so many of them are needed together
  IssuerOptions issuers;
  std::string policy;  // a file; empty: as the recipients' records say
  LimitOptions limits;
  std::string cipher = "aes-256-gcm";
  int passphrase_fd = -1;
  int recovery_fd = STDOUT_FILENO;
  bool exclusive = false;
  bool unsigned_file = false;
  bool force = false;
  bool only_passphrase = false;
  bool mix_classical = false;
  bool dry_run = false;
};

// All but the output and --unsigned, which not every verb has.
void add_sealing_options(const Verb& verb, SealingOptions& options);

void add_threshold_option(const Verb& verb, unsigned& threshold);
void add_issuer_options(const Verb& verb, IssuerOptions& issuers);
void add_policy_option(const Verb& verb, std::string& policy);
void add_mixture_option(const Verb& verb, bool& mix_classical);

// Code::usage when a recovery key cannot be printed there.
Status check_recovery_fd(bool stdout_is_taken, int recovery_fd);

// A sealed file about to be made. Keeps what the helper needs alive.
class Sealing {
 public:
  // Finds and checks the recipients, and warns of what protects less than one may think.
  static Result<std::unique_ptr<Sealing>> prepare(const Globals& globals,
                                                  const SealingOptions& options, Console& console);
  // Output, spool and the source of the passphrase: what a dry run does without.
  Status open();

  // After open().
  int output_fd() const { return file_ ? file_->fd() : STDOUT_FILENO; }
  int spool_fd() const { return spool_.get(); }
  const Recipients& recipients() const { return recipients_; }
  RecipientFactory recipient_factory() const { return recipients_.factory(paper_); }
  // The same, and prints a recovery key at once: while tasks are stopped nobody waits for who reads
  // it.
  RecipientFactory printing_factory() const;
  // Prints a recovery key that the first of the two has made, in the helper.
  std::function<Status()> announcement() const;
  // Of what failed: whether a recovery key was printed that no file has.
  void warn_of_paper(Console& console) const;
  std::vector<int> descriptors() const;  // what that needs
  SealOptions seal_options(Content content) const;
  Result<EcdsaSignature> sign(const Digest& digest) const { return host_.sign(digest); }
  // Makes the file durable and gives it its name.
  Status commit();

  // Of the host that seals, in bytes; empty: unsigned.
  std::string origin() const;
  // What was made; `report` is the helper's last word.
  Outcome describe(const HelperReport& report) const;

 private:
  Sealing(SealingOptions options, HostAccess host, Recipients recipients, std::uint64_t created,
          const UseLimits& limits)
      : options_(std::move(options)),
        host_(std::move(host)),
        recipients_(std::move(recipients)),
        created_(created),
        limits_(limits) {}

  SealingOptions options_;
  HostAccess host_;
  Recipients recipients_;
  std::uint64_t created_;
  UseLimits limits_;
  std::optional<OutputFile> file_;        // none: standard output
  std::shared_ptr<RecoveryPaper> paper_;  // none: no recovery key
  bool committed_ = false;
  UniqueFd spool_;
};

}  // namespace ckptseal
