// SPDX-License-Identifier: Apache-2.0
#include "cli/verbs/authority_key_options.h"

#include <fmt/format.h>

#include <span>

#include "cli/passphrase_source.h"
#include "keymgr/pkcs11/pin_file.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

Result<TokenUri> prepare(const AuthorityKeyOptions& options) {
  CKPTSEAL_ASSIGN(TokenUri uri, TokenUri::parse(options.uri));
  const std::span<const int> keep(&options.passphrase_fd, options.passphrase_fd >= 0 ? 1 : 0);
  CKPTSEAL_TRY(harden_process(keep));
  return uri;
}

AskPin pin_from(const AuthorityKeyOptions& options, const TokenUri& uri) {
  if (!uri.pin_file().empty()) return pin_of(uri);
  return [named_fd = options.passphrase_fd](const std::string& label) -> Result<Secret> {
    CKPTSEAL_ASSIGN(const PassphraseSource source, PassphraseSource::open(named_fd));
    return source.read(fmt::format("PIN of the token \"{}\"", label), false);
  };
}

}  // namespace

void add_authority_key_options(const Verb& verb, AuthorityKeyOptions& options) {
  verb.option("--key", options.uri,
              "The authority's key: a pkcs11: URI with module-path, token and object")
      .value_name("URI")
      .required();
  verb.option("--passphrase-fd", options.passphrase_fd,
              "Read the token's PIN from this descriptor instead of the terminal")
      .value_name("N")
      .open_descriptor();
}

Result<AuthorityKey> open_authority_key(const AuthorityKeyOptions& options) {
  CKPTSEAL_ASSIGN(const TokenUri uri, prepare(options));
  return AuthorityKey::open(uri, pin_from(options, uri));
}

Result<AuthorityKey> open_or_make_authority_key(const AuthorityKeyOptions& options, bool& made) {
  CKPTSEAL_ASSIGN(const TokenUri uri, prepare(options));
  return AuthorityKey::open_or_make(uri, pin_from(options, uri), made);
}

}  // namespace ckptseal
