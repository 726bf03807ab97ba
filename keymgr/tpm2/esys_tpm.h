// SPDX-License-Identifier: Apache-2.0
//
// The Tpm of daily work on a real one, hardware or software: unseal, sign, read PCRs, with nothing
// but the keys that provisioning left. It never makes a key and never asks the TPM who it is:
// whoever is not the pinned TPM cannot answer.
#pragma once

#include "keymgr/tpm2/keys.h"
#include "keymgr/tpm2/tcti.h"
#include "keymgr/tpm2/tpm.h"

namespace ckptseal {

class EsysTpm : public Tpm {
 public:
  EsysTpm(TpmConnection connection, TpmKeys keys);

  Result<Secret> unseal(const SealedObject& object, const PolicyRun& run) override;
  // The signature is verified with the signing key's public part before it is returned.
  Result<EcdsaSignature> sign(const Digest& digest) override;
  Result<PcrValues> read_pcrs(const PcrSelection& selection) override;
  Status cap(unsigned pcr) override;

  const TpmKeys& keys() const { return keys_; }
  TpmConnection& connection() { return connection_; }

 private:
  Result<Secret> unseal_once(const SealedObject& object, const PolicyRun& run);

  TpmConnection connection_;
  TpmKeys keys_;
};

// The selected PCRs of any TPM, provisioned or not.
Result<PcrValues> read_pcrs(TpmConnection& connection, const PcrSelection& selection);

}  // namespace ckptseal
