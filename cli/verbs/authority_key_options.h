// SPDX-License-Identifier: Apache-2.0
//
// How the verbs of an authority get at its key, which is in a PKCS #11 token: docs/policies.md,
// "Approval" and "Online approval".
#pragma once

#include <string>

#include "cli/command_line.h"
#include "keymgr/pkcs11/authority_key.h"

namespace ckptseal {

struct AuthorityKeyOptions {
  std::string uri;
  int passphrase_fd = -1;
};

void add_authority_key_options(const Verb& verb, AuthorityKeyOptions& options);

// Before it, this process becomes as hard as the helper is, for the module of a token and its PIN
// come into it: descriptors that were open are closed.
Result<AuthorityKey> open_authority_key(const AuthorityKeyOptions& options);
// `made` says whether it had to be made.
Result<AuthorityKey> open_or_make_authority_key(const AuthorityKeyOptions& options, bool& made);

}  // namespace ckptseal
