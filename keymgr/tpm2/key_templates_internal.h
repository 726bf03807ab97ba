// SPDX-License-Identifier: Apache-2.0
//
// The public templates of the primary keys of a host. A primary key is derived from the hierarchy's
// seed and its template, so these bytes must never change: another template is another key.
// Internal to keymgr/tpm2.
#pragma once

#include <tss2/tss2_tpm2_types.h>

namespace ckptseal {

TPM2B_PUBLIC storage_parent_template();
TPM2B_PUBLIC attestation_key_template();
TPM2B_PUBLIC signing_key_template();
// Template L-1 of the TCG EK Credential Profile: RSA-2048, SHA-256, PolicySecret(endorsement).
TPM2B_PUBLIC endorsement_key_template();

}  // namespace ckptseal
