// SPDX-License-Identifier: Apache-2.0
//
// A signature of the TSS as this project keeps it. Internal to keymgr/tpm2: brings the TSS's types.
#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/result.h"

namespace ckptseal {

// r || s, padded to 32 bytes each. Code::unavailable when it is not of ECDSA with SHA-256 on P-256.
inline Result<EcdsaSignature> to_ecdsa(const TPMT_SIGNATURE& in) {
  const TPMS_SIGNATURE_ECDSA& ecdsa = in.signature.ecdsa;
  EcdsaSignature out{};
  constexpr std::size_t half = out.size() / 2;
  if (in.sigAlg != TPM2_ALG_ECDSA || ecdsa.hash != TPM2_ALG_SHA256 ||
      ecdsa.signatureR.size > half || ecdsa.signatureS.size > half) {
    return Error{Code::unavailable,
                 "The TPM signed in another way than it was asked to: check what --tpm names.", 0};
  }
  std::copy_n(ecdsa.signatureR.buffer, ecdsa.signatureR.size,
              out.begin() + half - ecdsa.signatureR.size);
  std::copy_n(ecdsa.signatureS.buffer, ecdsa.signatureS.size, out.end() - ecdsa.signatureS.size);
  return out;
}

}  // namespace ckptseal
