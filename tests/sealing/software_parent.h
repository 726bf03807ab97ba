// SPDX-License-Identifier: Apache-2.0
//
// What a TPM does with a TPM slot (import, load, unseal), done in software with a storage parent
// whose private half is known: so that vectors with TPM slots can be opened anywhere.
#pragma once

#include <optional>

#include "keymgr/recipient.h"
#include "keymgr/tpm2/slot.h"

namespace ckptseal::test {

class SoftwareParentIdentity : public Identity {
 public:
  // Of slots with a PIN: `pin` MUST be theirs if there is one, though nothing here needs it. A
  // wrong one is tried once.
  explicit SoftwareParentIdentity(Secret scalar, std::optional<Secret> pin = std::nullopt);
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  Status check_auth(const Policy& policy, bool asks_pin, ByteView auth, const CheckpointId& id);

  Secret scalar_;
  std::optional<Secret> pin_;
  bool pin_refused_ = false;
  unsigned tried_ = 0;
  EcPoint point_;
  TpmName name_{};
};

}  // namespace ckptseal::test
