// SPDX-License-Identifier: Apache-2.0
//
// What ckpt-seal asks of a provisioned TPM in daily work. Behind it stands ESYS (esys_tpm.h); in
// tests a double of a page. Provisioning, which needs more, is in provision.h.
#pragma once

#include "base/crypto.h"
#include "keymgr/tpm2/policy_run.h"
#include "keymgr/tpm2/sealed_object.h"
#include "policies/pcr.h"

namespace ckptseal {

class Tpm {
 public:
  virtual ~Tpm() = default;

  // Imports, loads and unseals `object` by one path of its policy, in a session that is salted to
  // the pinned storage parent and encrypts. Code::policy: the policy is not met, or the PIN wrong
  // (is_wrong_pin() of return_codes.h); revoked: its epoch is over; integrity: not sealed to this
  // TPM, or altered; locked; unavailable: the TPM is gone, hangs or answers rubbish.
  virtual Result<Secret> unseal(const SealedObject& object, const PolicyRun& run) = 0;

  // ECDSA P-256 over `digest` by the host's signing key.
  virtual Result<EcdsaSignature> sign(const Digest& digest) = 0;

  virtual Result<PcrValues> read_pcrs(const PcrSelection& selection) = 0;

  // Extends that PCR of the SHA-256 bank, so that no policy which binds it is met again before the
  // next boot.
  virtual Status cap(unsigned pcr) = 0;
};

}  // namespace ckptseal
