// SPDX-License-Identifier: Apache-2.0
//
// Recipients from X.509 certificates (RFC 5280). A certificate names a key here and no more: what
// it is trusted for is the caller's choice, who may have its chain checked (certificate_chain.h).
#pragma once

#include <cstdint>
#include <string>

#include "keymgr/public_key/public_key.h"

namespace ckptseal {

struct Certificate {
  Bytes der;
  PublicKey key;
  std::string subject;  // in one line (RFC 4514), as a label has to be

  RecipientName name() const { return {KeySource::certificate, Sha256::of(der), subject}; }
};

// `file` is PEM or DER and has one certificate and nothing else; `now` is in seconds since 1970.
// Code::integrity when it is damaged, untrusted when it is not valid at that time, usage when
// nothing can be or may be sealed for its key.
Result<Certificate> read_certificate(ByteView file, std::uint64_t now, const std::string& what);

// The key of a certificate in DER alone, which may have expired. Code::integrity and usage as
// above.
Result<PublicKey> key_of_certificate(ByteView der, const std::string& what);

}  // namespace ckptseal
