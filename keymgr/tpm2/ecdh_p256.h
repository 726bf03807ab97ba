// SPDX-License-Identifier: Apache-2.0
//
// Elliptic-curve Diffie-Hellman on NIST P-256 (NIST SP 800-56A, "C(1e, 1s, ECC CDH)"), which GnuTLS
// has but does not offer to its callers.
#pragma once

#include "base/crypto.h"

namespace ckptseal {

// A private scalar of 32 bytes, big-endian, evenly distributed over 1 to n - 1.
Result<Secret> random_p256_scalar();

// scalar * G. Code::failed for a scalar that is not 32 bytes or not in 1 to n - 1.
Result<EcPoint> p256_public_point(const Secret& scalar);

// The x-coordinate of scalar * peer, 32 bytes. Code::failed for such a scalar; Code::integrity when
// the peer is not on the curve.
Result<Secret> p256_shared_x(const Secret& scalar, const EcPoint& peer);

}  // namespace ckptseal
