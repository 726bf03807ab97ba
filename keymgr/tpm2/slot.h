// SPDX-License-Identifier: Apache-2.0
//
// The slot that only one host's TPM opens, and only while its release policy is met:
// docs/format.md, "TPM slot". Wrapping is pure software; tpm_identity.h unwraps.
#pragma once

#include <memory>

#include "keymgr/recipient.h"
#include "keymgr/tpm2/sealed_object.h"
#include "policies/policy.h"
#include "policies/tpm_public.h"

namespace ckptseal {

// The body of a slot of SlotKind::tpm2.
struct Tpm2Slot {
  Digest recipient{};  // identity of the host that it was sealed for
  TpmName parent{};    // of the storage parent under which `object` imports
  Policy policy;       // what the TPM demands
  SealedObject object;

  Bytes serialize() const;
  // Of a slot of that checkpoint. Code::integrity for anything but what serialize() writes, and
  // when the object's policy is not the one that the slot names; Code::no_slot for a form of policy
  // that this version does not know.
  static Result<Tpm2Slot> parse(ByteView body, const Checkpoint& of);
  // Of whom it is, without reading more; nullopt when it is cut before that.
  static std::optional<Digest> recipient_of(ByteView body);
  static std::optional<TpmName> parent_of(ByteView body);
};

// authValue of an object whose policy has a PIN (1 to 1024 bytes): docs/format.md, "TPM slot".
Result<Secret> pin_auth_value(const Secret& pin, const CheckpointId& id);

class Tpm2Recipient : public Recipient {
 public:
  // `parent` and the host's identity as a trusted host record has them; a `pin` when the policy has
  // one.
  Tpm2Recipient(TpmPublic parent, Policy policy, const Digest& host,
                std::shared_ptr<const Secret> pin = nullptr);

  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;
  // Of that host, with that storage parent and policy: a newer record of it may have other PCRs.
  bool owns(const SlotBody& slot) const override;

 private:
  TpmPublic parent_;
  Policy policy_;
  Digest host_;
  std::shared_ptr<const Secret> pin_;
};

}  // namespace ckptseal
