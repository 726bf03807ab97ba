// SPDX-License-Identifier: Apache-2.0
//
// What a TPM does with a TPM slot (import, load, unseal), done in software with a storage parent
// whose private half is known: so that vectors with TPM slots can be opened anywhere.
#pragma once

#include "keymgr/recipient.h"
#include "keymgr/tpm2/slot.h"

namespace ckptseal::test {

class SoftwareParentIdentity : public Identity {
 public:
  explicit SoftwareParentIdentity(Secret scalar);
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const CheckpointId& id) override;

 private:
  Secret scalar_;
  EcPoint point_;
  TpmName name_{};
};

}  // namespace ckptseal::test
