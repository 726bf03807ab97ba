// SPDX-License-Identifier: Apache-2.0
//
// From names to a TPM, tokens, key files, and what people know.
#include "cli/opening/identities.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "keymgr/passphrase/passphrase.h"
#include "keymgr/pkcs11/pin_file.h"
#include "keymgr/pkcs11/token_key.h"
#include "keymgr/public_key/hybrid_key.h"
#include "keymgr/public_key/private_key.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/threshold.h"

namespace ckptseal {
namespace {

bool begins_with(const Secret& file, std::string_view label) {
  return as_text(file.view()).starts_with(fmt::format("-----BEGIN {}-----", label));
}

template <typename T>
Result<std::unique_ptr<Identity>> as_identity(Result<T> identity) {
  if (!identity.ok()) return std::move(identity).error();
  return std::unique_ptr<Identity>(std::make_unique<T>(std::move(identity).value()));
}

}  // namespace

Result<Identities> Identities::find(const HostAccess& host, const std::vector<std::string>& names,
                                    const std::string& file) {
  Identities out(host);
  out.folder_ = folder_of(file);
  for (const std::string& name : names) CKPTSEAL_TRY(out.add(name));
  return out;
}

// A word that is none of the known is a slip, and no file in the current folder.
Status Identities::add(const std::string& name) {
  if (name == "tpm" || name == "self") {
    add_word(Word::host_key);
  } else if (name == "passphrase") {
    add_word(Word::passphrase);
  } else if (name == "recovery") {
    add_word(Word::recovery);
  } else if (TokenUri::looks_like_one(name)) {
    return add_token(name);
  } else if (name.find_first_of("/.") == std::string::npos) {
    return Error{
        Code::usage,
        fmt::format("--identity takes self, tpm, passphrase, recovery, a pkcs11: URI or the path "
                    "of a key file, not {}; see --help.",
                    name),
        0};
  } else {
    return add_file(name);
  }
  return {};
}

void Identities::add_word(Word word) {
  if (!has(word)) names_.emplace_back(word);
}

bool Identities::has(Word word) const {
  return std::any_of(names_.begin(), names_.end(), [word](const Name& name) {
    const Word* one = std::get_if<Word>(&name);
    return one != nullptr && *one == word;
  });
}

Status Identities::add_file(const std::string& path) {
  CKPTSEAL_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY, fmt::format("the key file {}", path)));
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return system_error("Cannot look at " + path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Error{
        Code::usage,
        fmt::format("--identity {} is a folder, a pipe or a device; name the key file itself.",
                    path),
        0};
  }
  names_.emplace_back(File{path, std::move(fd)});
  return {};
}

Status Identities::add_token(const std::string& uri) {
  CKPTSEAL_ASSIGN(TokenUri parsed, TokenUri::parse(uri));
  UniqueFd pin_file;
  if (!parsed.pin_file().empty()) {
    CKPTSEAL_ASSIGN(pin_file, open_file(parsed.pin_file(), O_RDONLY,
                                        fmt::format("the PIN file {}", parsed.pin_file())));
  }
  names_.emplace_back(TokenName{std::move(parsed), std::move(pin_file)});
  return {};
}

bool Identities::empty() const { return names_.empty(); }

Status Identities::cap(unsigned pcr) {
  CKPTSEAL_TRY(PcrSelection::of_mask(1U << pcr));
  if (!has(Word::host_key) || host_->has_token()) {
    return Error{Code::usage,
                 "--cap-pcr is for what this host's TPM opens: leave it out, or say --identity "
                 "self.",
                 0};
  }
  cap_pcr_ = pcr;
  return {};
}

// Whether a key file wants a password, and a token or a policy a PIN, is known in the helper alone:
// unless something is wanted for certain it is no failure that there is nowhere to ask.
Status Identities::open(int passphrase_fd) {
  if (has(Word::host_key)) {
    CKPTSEAL_TRY(host_->require_provisioned());
    if (!host_->has_token()) {
      CKPTSEAL_ASSIGN(TpmSession session, host_->start_tpm());
      session_.emplace(std::move(session));
      CKPTSEAL_ASSIGN(release_, ReleaseInputs::find(host_->state(), folder_));
      CKPTSEAL_ASSIGN(released_, make_pipe());
      for (const int fd : {released_.read_end.get(), released_.write_end.get()}) {
        if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return system_error("Cannot use a pipe", errno);
      }
    }
  }
  const bool certain = has(Word::passphrase) || has(Word::recovery) || passphrase_fd >= 0;
  if (empty()) return {};
  Result<PassphraseSource> source = PassphraseSource::open(passphrase_fd);
  if (!source.ok()) return certain ? Status(source.error()) : Status();
  source_ = std::move(source).value();
  return {};
}

std::vector<int> Identities::descriptors() const {
  std::vector<int> out;
  for (const Name& name : names_) {
    if (const auto* file = std::get_if<File>(&name)) out.push_back(file->fd.get());
    if (const auto* token = std::get_if<TokenName>(&name)) out.push_back(token->pin_file.get());
  }
  if (release_) {
    const std::vector<int> more = release_->descriptors();
    out.insert(out.end(), more.begin(), more.end());
    out.push_back(released_.write_end.get());
  }
  if (source_) out.push_back(source_->fd());
  return out;
}

IdentityFactory Identities::factory(std::uint32_t memory_limit_kib) const {
  return [this, memory_limit_kib](
             HelperChannel& channel) -> Result<std::vector<std::unique_ptr<Identity>>> {
    std::vector<std::unique_ptr<Identity>> out;
    const Making how{memory_limit_kib, channel, std::make_shared<TokenRun>()};
    for (const Name& name : names_) {
      CKPTSEAL_ASSIGN(auto identity, make(name, how));
      out.push_back(std::move(identity));
    }
    // The last, for whoever opens the file alone needs no others.
    std::vector<Identity*> together;
    together.reserve(out.size());
    for (const auto& identity : out) together.push_back(identity.get());
    out.push_back(std::make_unique<ThresholdIdentity>(
        std::move(together), [&channel](const std::string& why) { (void)channel.warn(why); }));
    return out;
  };
}

Result<std::unique_ptr<Identity>> Identities::make(const Name& name, const Making& how) const {
  if (const auto* file = std::get_if<File>(&name)) return read_key(*file);
  if (const auto* token = std::get_if<TokenName>(&name)) {
    return token_identity(
        token->uri, [this, token](const std::string& label) { return ask_pin(*token, label); },
        how.tokens);
  }
  switch (std::get<Word>(name)) {
    case Word::host_key:
      return make_host_key(how);
    case Word::recovery: {
      CKPTSEAL_ASSIGN(const Secret text, source_->read("Recovery key", false));
      CKPTSEAL_ASSIGN(Secret secret, parse_recovery_text(text.view()));
      return std::unique_ptr<Identity>(std::make_unique<RecoveryIdentity>(std::move(secret)));
    }
    case Word::passphrase:
      break;
  }
  CKPTSEAL_ASSIGN(Secret secret, source_->read("Passphrase", false));
  return std::unique_ptr<Identity>(
      std::make_unique<PassphraseIdentity>(std::move(secret), how.memory_limit_kib));
}

Result<std::unique_ptr<Identity>> Identities::make_host_key(const Making& how) const {
  if (!session_) return host_->token_identity(how.tokens);
  ReleaseHelp help = release_->help([this] { return ask_tpm_pin(); });
  help.cap_pcr = cap_pcr_;
  help.released = [this](const PcrState& state) { tell_released(state); };
  help.who = host_->record().record().name;
  if (online_) {
    help.approver = [&channel = how.channel](ByteView request) { return channel.approve(request); };
  }
  return host_->tpm_identity(session_->tcti(), std::move(help));
}

// In the helper. What does not fit into the pipe is left out.
void Identities::tell_released(const PcrState& state) const {
  ByteWriter out;
  std::uint32_t mask = 0;
  for (const auto& [pcr, value] : state.pcrs) mask |= 1U << pcr;
  out.u32(mask);
  for (const auto& [pcr, value] : state.pcrs) out.bytes(value);
  (void)write_full(released_.write_end.get(), out.view());
}

// The helper has read a file that may be hostile: what it says is checked, and serves for words.
std::optional<PcrState> Identities::released_in() const {
  if (!released_.read_end.valid()) return std::nullopt;
  Bytes content(65536);
  const ssize_t size = read(released_.read_end.get(), content.data(), content.size());
  if (size <= 0) return std::nullopt;
  ByteReader in(ByteView(content).first(static_cast<std::size_t>(size)));
  PcrState state;
  while (!in.at_end()) {
    const Result<PcrSelection> selection = PcrSelection::of_mask(in.u32());
    if (!selection.ok()) return std::nullopt;
    state.pcrs.clear();
    for (const unsigned pcr : selection.value().indices()) state.pcrs[pcr] = in.array<32>();
    if (!in.ok()) return std::nullopt;
  }
  return state;
}

// In the helper.
Result<std::unique_ptr<Identity>> Identities::read_key(const File& file) const {
  constexpr std::size_t largest_key_file = 1 << 16;
  const std::string what = fmt::format("The key file {}", file.path);
  CKPTSEAL_ASSIGN(Secret content, Secret::make(largest_key_file));
  CKPTSEAL_ASSIGN(const std::size_t size, pread_full(file.fd.get(), content.mutable_view(), 0));
  if (size == 0 || size == largest_key_file) {
    return Error{Code::integrity,
                 fmt::format("{} is empty or far too long for a private key; name another.", what),
                 0};
  }
  content.shrink(size);
  if (begins_with(content, hybrid_private_label)) {
    return as_identity(HybridIdentity::from_file(content, what));
  }
  if (begins_with(content, hybrid_public_label)) {
    return Error{
        Code::usage,
        fmt::format("{} is a public key, and the private one opens files: name that.", what), 0};
  }
  CKPTSEAL_ASSIGN(const bool encrypted, needs_password(content, what));
  if (!encrypted) return as_identity(read_private_key(content, nullptr, what));
  if (!source_) {
    return Error{Code::failed,
                 fmt::format("{} is encrypted and there is no terminal to ask for its password on; "
                             "give it with --passphrase-fd.",
                             what),
                 0};
  }
  CKPTSEAL_ASSIGN(const Secret password,
                  source_->read(fmt::format("Password of {}", file.path), false));
  return as_identity(read_private_key(content, &password, what));
}

// In the helper.
Result<Secret> Identities::ask_tpm_pin() const {
  if (source_) return source_->read("PIN", false);
  return Error{Code::failed,
               "This host's slot wants its PIN and there is no terminal to ask on; give it with "
               "--passphrase-fd.",
               0};
}

// In the helper.
Result<Secret> Identities::ask_pin(const TokenName& token, const std::string& label) const {
  if (token.pin_file.valid()) return read_pin(token.pin_file.get(), token.uri.pin_file());
  if (source_) return source_->read(fmt::format("PIN of the token \"{}\"", label), false);
  return Error{
      Code::failed,
      fmt::format("The token \"{}\" wants its PIN and there is no terminal to ask on; give "
                  "it with pin-source in the URI or with --passphrase-fd.",
                  label),
      0};
}

}  // namespace ckptseal
