// SPDX-License-Identifier: Apache-2.0
//
// Whether somebody who is trusted vouches for a certificate (RFC 5280, section 6).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "keymgr/public_key/certificate.h"

namespace ckptseal {

// All PEM.
struct ChainInputs {
  Bytes anchors;        // certificates of the authorities that are trusted, one or more
  Bytes intermediates;  // certificates that may stand between; nothing is trusted in them
  // Revocation lists; if they are given, those of all issuers in the chain must be among them.
  std::optional<Bytes> crls;
};

// At `now`, in seconds since 1970. Code::untrusted when the chain does not hold, revoked when the
// certificate or an authority between was revoked, integrity for inputs that are damaged, usage
// without anchors.
Status check_chain(const Certificate& certificate, const ChainInputs& inputs, std::uint64_t now,
                   const std::string& what);

}  // namespace ckptseal
