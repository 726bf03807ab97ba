// SPDX-License-Identifier: Apache-2.0
//
// Private keys of vectors as keymgr/public_key reads them, and as its functions of OpenSSL take
// them: PublicKeyIdentity says only whether a slot opens, and those say what comes out.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "keymgr/public_key/identity.h"
#include "keymgr/public_key/openssl_internal.h"

namespace ckptseal::test {

// nullopt when the file is refused.
std::optional<PublicKeyIdentity> identity_of(ByteView key_file);

// Of PKCS#8 in DER; throws for anything else.
OwnedKey load_private_key(ByteView pkcs8);

// Of a slot with that key's id. nullopt when it is refused as one that is damaged; what it should
// not say throws.
std::optional<Secret> open_slot(PublicKeyIdentity& identity, const PublicKeySlot& slot);

// The one that all slots here are of.
inline constexpr Checkpoint some_checkpoint{{1, 2, 3}, {}};

}  // namespace ckptseal::test
