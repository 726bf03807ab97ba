// SPDX-License-Identifier: Apache-2.0
//
// The two key derivation functions of the TPM, with SHA-256 (TPM 2.0 Part 1, "KDFa()" and
// "KDFe()"). Here they derive one block at most, which is all that a seed and its keys need.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace ckptseal {

// `label` is without its terminating zero byte. `size` is 1 to 32 bytes.

// HMAC-SHA256(key, 1 || label || 0 || context_u || context_v || bits).
Result<Secret> kdfa(const Secret& key, std::string_view label, ByteView context_u,
                    ByteView context_v, std::size_t size);

// SHA-256(1 || z || label || 0 || party_u || party_v), of which the first `size` bytes. `z` is the
// x-coordinate of the shared point.
Result<Secret> kdfe(const Secret& z, std::string_view label, ByteView party_u, ByteView party_v,
                    std::size_t size);

}  // namespace ckptseal
