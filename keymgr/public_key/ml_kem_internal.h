// SPDX-License-Identifier: Apache-2.0
//
// ML-KEM-768 (FIPS 203) by libcrypto, which has it from OpenSSL 3.5 on. It is asked for by name,
// so that one build runs with older ones, too, and finds out there.
#pragma once

#include "keymgr/public_key/openssl_internal.h"

namespace ckptseal {

inline constexpr std::size_t kem_public_size = 1184;
inline constexpr std::size_t kem_seed_size = 64;

// FIPS 203, section 7.2: it is as long as it has to be, and no coefficient in it is above q - 1.
bool is_encapsulation_key(ByteView key);

// All want has_ml_kem() (hybrid_key.h).
Result<Bytes> encapsulation_key_of(const Secret& seed);  // d || z

struct Encapsulated {
  Secret shared;
  Bytes ciphertext;
};
Result<Encapsulated> encapsulate(ByteView key);
// A ciphertext of the right length always gives a secret, if it was not made for this key another
// one than whoever made it has.
Result<Secret> decapsulate(const Secret& seed, ByteView ciphertext);

}  // namespace ckptseal
