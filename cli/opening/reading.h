// SPDX-License-Identifier: Apache-2.0
//
// What open, verify and inspect share: the sealed file, whom to trust, and which identity opens it.
#pragma once

#include "cli/host_access.h"
#include "cli/opening/approver.h"
#include "cli/opening/identities.h"
#include "sealing/jobs.h"

namespace ckptseal {

struct ReadingOptions {
  std::string file;  // "-": standard input
  std::vector<std::string> identities;
  int passphrase_fd = -1;
  std::vector<std::string> trusted_records;
  std::string fingerprint;
  bool allow_unsigned = false;
  std::uint32_t max_memory_mib = 0;  // 0: the standard limit
  int cap_pcr = -1;                  // none
  std::string approver;              // command; empty: none
  unsigned approver_timeout = 60;
};

// With --allow-unsigned, if the verb takes what nobody vouches for.
void add_reading_options(const Verb& verb, ReadingOptions& options, bool unsigned_too = true);
// --cap-pcr, of the verbs that use what they open.
void add_cap_option(const Verb& verb, ReadingOptions& options);
// All but FILE and that.
void add_key_options(const Verb& verb, ReadingOptions& options, bool unsigned_too = true);

// A sealed file made ready: the descriptor is seekable (a pipe was copied, as the ciphertext it
// is), and the job names it. Keeps what the helper needs alive.
class Reading {
 public:
  enum class Key : std::uint8_t { none, if_asked, host_by_default };
  // A file that is to be changed is a regular one, and nobody else changes it meanwhile.
  enum class Access : std::uint8_t { read, change };

  // With Key::host_by_default and no --identity the host's TPM opens it, when there is one.
  static Result<std::unique_ptr<Reading>> prepare(const Globals& globals,
                                                  const ReadingOptions& options, Key key,
                                                  Access access = Access::read);

  ReadJob& job() { return job_; }
  const std::string& name() const { return name_; }  // for messages
  const HostAccess& host() const { return *host_; }
  bool has_identities() const { return static_cast<bool>(job_.identities); }
  // To be called once the verb has done its work: if this host's TPM has opened the file, its state
  // is remembered (docs/state.md, "tpm/opened/"). Whatever hinders that is passed over.
  void remember_opening(const HelperReport& report) const;
  // The events of every reading verb; a TPM that was started is stopped once it is not needed.
  HelperEvents events(Console& console);
  // Of whoever holds them back, and still is to be interrupted while an approver is waited for.
  void watch(EndingSignals& signals) { approver_.signals = &signals; }

 private:
  Reading() = default;
  Status open_input(const std::string& file);
  Status open_for_change(const std::string& file);
  Status add_trust(const ReadingOptions& options);
  Status add_identities(const ReadingOptions& options, Key key);

  std::string name_;
  std::string event_log_;
  UniqueFd fd_;
  std::optional<HostAccess> host_;
  std::optional<Identities> identities_;
  Approver approver_;
  ReadJob job_;
};

// A regular file to read and write, under its lock as long as the descriptor lives. Code::usage for
// anything else, Code::failed when another process holds the lock.
Result<UniqueFd> open_to_change(const std::string& file);

// The common part of reports: id, suite, content, sizes, origin.
Json describe_file(const HelperReport& report);

}  // namespace ckptseal
