// SPDX-License-Identifier: Apache-2.0
//
// Certificates and revocation lists as files have them: DER, or PEM blocks with any text around
// them, for that is what "openssl x509 -text" writes. Not for what is secret.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

struct PemBlock {
  std::string label;  // what stands behind BEGIN
  Bytes content;
};

bool looks_like_pem(ByteView file);

// In their order; there may be none. Code::integrity for a block that is damaged. `what` names the
// input, for example "The certificate x.pem".
Result<std::vector<PemBlock>> read_pem_blocks(ByteView file, const std::string& what);

}  // namespace ckptseal
