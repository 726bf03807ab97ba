// SPDX-License-Identifier: Apache-2.0
//
// Keys in PKCS #11 tokens as recipients and identities of public key slots (docs/format.md, "Public
// key slot"). Both load the one module that the URI names into this process, which therefore is the
// helper, and finalize it when they go. The errors of both:
//   usage        the URI fits no key, or several tokens or keys
//   unavailable  the module cannot be loaded, or the token is not there or gone
//   policy       the PIN is wrong; how many tries are left is said as far as the token says it
//   locked       by too many wrong PINs
//   failed       the key or the token cannot do what is needed
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "keymgr/pkcs11/token_uri.h"
#include "keymgr/public_key/public_key.h"

namespace ckptseal {

// Reads the public key without a PIN, or that of a certificate, which is held against `now`
// (seconds since 1970) and its usage as one in a file is: read_certificate().
Result<PublicKeyRecipient> token_recipient(const TokenUri& uri, std::uint64_t now);

// The id of that key alone: a certificate that has expired still names a slot.
Result<KeyId> token_key_id(const TokenUri& uri);

// Asks for the PIN of the token with this label.
using AskPin = std::function<Result<Secret>(const std::string& label)>;

// What the tokens of one run have answered, by token: shared by identities, so that a PIN is asked
// for, and a wrong one tried, once for each token, whatever number of keys in it are named.
// docs/format.md, "Which slot opens".
struct TokenRun {
  struct One {
    std::optional<Secret> pin;
    std::optional<Error> login_refused;
    unsigned tried = 0;  // slots and shares
  };
  std::map<std::string, One> tokens;
};

// Reaches the token at the first public key slot, and asks for its PIN, once, when a slot is for
// its key.
std::unique_ptr<Identity> token_identity(TokenUri uri, AskPin ask, std::shared_ptr<TokenRun> run);
// The same of a key that is known: its private half has this CKA_ID. The token is not even reached
// unless a slot is for it.
std::unique_ptr<Identity> token_identity(TokenUri uri, PublicKey key, Bytes id, AskPin ask,
                                         std::shared_ptr<TokenRun> run);

}  // namespace ckptseal
