// SPDX-License-Identifier: Apache-2.0
//
// What opens a sealed file, as --identity names it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/host_access.h"
#include "cli/opening/release_inputs.h"
#include "cli/passphrase_source.h"
#include "keymgr/pkcs11/token_uri.h"
#include "sealing/jobs.h"

namespace ckptseal {

class Identities {
 public:
  // Finds those of these names: self or tpm (this host's TPM or token), passphrase, recovery, a
  // pkcs11: URI, the path of a key file.
  // `file` is the sealed file, beside which approvals may lie.
  static Result<Identities> find(const HostAccess& host, const std::vector<std::string>& names,
                                 const std::string& file);

  bool empty() const;
  // After the TPM has released a key, this PCR is extended. Code::usage when no TPM is asked, or
  // for PCR 10, which nothing binds.
  Status cap(unsigned pcr);
  // There is somebody who can be asked for online approvals.
  void ask_online() { online_ = true; }
  // Starts the TPM and opens where passphrases come from, as far as they are wanted.
  Status open(int passphrase_fd);
  // After open(); refers to this. A passphrase may need so much memory.
  IdentityFactory factory(std::uint32_t memory_limit_kib) const;
  std::vector<int> descriptors() const;  // what that needs
  // The helper needs the TPM no more.
  void stop_tpm() { session_.reset(); }
  // Of the last key that the TPM released in the helper, which has ended: the PCRs that were asked
  // for. nullopt without any.
  std::optional<PcrState> released_in() const;

 private:
  struct File {
    std::string path;
    UniqueFd fd;
  };
  struct TokenName {
    TokenUri uri;
    UniqueFd pin_file;  // may be none
  };

  // Known by a word: what opens for them is there once.
  enum class Word : std::uint8_t { host_key, passphrase, recovery };
  using Name = std::variant<Word, TokenName, File>;

  explicit Identities(const HostAccess& host) : host_(&host) {}
  Status add(const std::string& name);
  void add_word(Word word);
  Status add_token(const std::string& uri);
  Status add_file(const std::string& path);
  bool has(Word word) const;

  // In the helper.
  struct Making {
    std::uint32_t memory_limit_kib;
    HelperChannel& channel;
    std::shared_ptr<TokenRun> tokens;
  };
  Result<std::unique_ptr<Identity>> make(const Name& name, const Making& how) const;
  Result<std::unique_ptr<Identity>> make_host_key(const Making& how) const;
  Result<std::unique_ptr<Identity>> read_key(const File& file) const;
  Result<Secret> ask_tpm_pin() const;
  void tell_released(const PcrState& state) const;
  Result<Secret> ask_pin(const TokenName& token, const std::string& label) const;

  const HostAccess* host_;
  std::vector<Name> names_;  // in the order in which they were given
  std::string folder_;       // of the sealed file; empty: none
  std::optional<unsigned> cap_pcr_;
  bool online_ = false;
  std::optional<TpmSession> session_;
  std::optional<ReleaseInputs> release_;
  std::optional<PassphraseSource> source_;
  Pipe released_;  // from the helper
};

}  // namespace ckptseal
