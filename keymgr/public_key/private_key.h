// SPDX-License-Identifier: Apache-2.0
//
// The identity whose private key is in a file: PKCS#8 (RFC 5958), PEM or DER, with a password
// (PBES2, RFC 8018) or without.
#pragma once

#include <string>

#include "keymgr/public_key/identity.h"

namespace ckptseal {

// Whether read_private_key() wants a password. Code::integrity or usage for what is no key file.
Result<bool> needs_password(const Secret& file, const std::string& what);

// `password` may be null, and is not looked at when the file is not encrypted. Code::usage when a
// password is missing, for another kind of key file and for a key that is none of the allowed,
// policy when the password is wrong, integrity when the file is damaged. Nobody is asked for
// anything. `what` names the file, for example "The key file x.pem".
Result<PublicKeyIdentity> read_private_key(const Secret& file, const Secret* password,
                                           const std::string& what);

// A new key of X25519 in such a file, PEM without a password.
Result<Secret> make_private_key();

}  // namespace ckptseal
