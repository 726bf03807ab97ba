// SPDX-License-Identifier: Apache-2.0
//
// Owners of OpenSSL's X.509 objects, and reading them from strict DER.
#pragma once

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "keymgr/public_key/openssl_internal.h"

namespace ckptseal {

using OwnedCertificate = Owned<X509, X509_free>;
using OwnedCrl = Owned<X509_CRL, X509_CRL_free>;

// Null for anything but one whole certificate in DER.
OwnedCertificate load_certificate(ByteView der);
OwnedCrl load_crl(ByteView der);

}  // namespace ckptseal
