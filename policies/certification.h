// SPDX-License-Identifier: Apache-2.0
//
// Judges in pure software what TPM2_Certify says of a key: that it lives in the same TPM as the
// attestation key. TPM 2.0 Part 2, "TPMS_ATTEST" and "TPMS_CERTIFY_INFO"; Part 1, "Qualified
// Names".
#pragma once

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"
#include "policies/tpm_public.h"

namespace ckptseal {

// `attest` is a TPMS_ATTEST with empty qualifyingData, `signature` the attestation key's over it.
// `certified` must be a primary key of the owner hierarchy, `attestation_key` one of the
// endorsement hierarchy. Code::untrusted when anything does not fit; says what.
// It says nothing of what the certified key may do: see TpmPublic::require().
Status verify_certification(const TpmPublic& attestation_key, const TpmPublic& certified,
                            ByteView attest, const EcdsaSignature& signature);

}  // namespace ckptseal
