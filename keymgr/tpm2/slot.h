// SPDX-License-Identifier: Apache-2.0
//
// The slot that only one host's TPM opens, and only while its PCRs hold what was approved:
// docs/format.md, "Slots". Wrapping is pure software; unwrapping asks the TPM.
#pragma once

#include <optional>

#include "keymgr/recipient.h"
#include "keymgr/tpm2/sealed_object.h"
#include "keymgr/tpm2/tpm.h"
#include "policies/pcr.h"
#include "policies/tpm_public.h"

namespace ckptseal {

// The body of a slot of SlotKind::tpm2.
struct Tpm2Slot {
  Digest recipient{};  // fingerprint of the host record that it was sealed for
  TpmName parent{};    // of the storage parent under which `object` imports
  PcrValues pcrs;      // what must be in the PCRs
  SealedObject object;

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes, for a newer form of policy, and when
  // the object's policy is not the one of `pcrs`.
  static Result<Tpm2Slot> parse(ByteView body);
};

class Tpm2Recipient : public Recipient {
 public:
  // All three as a trusted host record has them.
  Tpm2Recipient(TpmPublic parent, PcrValues pcrs, const Digest& record_fingerprint);

  Result<SlotBody> wrap(const Secret& data_key, const CheckpointId& id) override;
  // By the fingerprint of the record: a newer record of a host may have other PCRs.
  bool owns(const SlotBody& slot) const override;

 private:
  TpmPublic parent_;
  PcrValues pcrs_;
  Digest record_fingerprint_;
};

class Tpm2Identity : public Identity {
 public:
  // `tpm` outlives the identity; `parent` is the Name of this host's own storage parent.
  Tpm2Identity(Tpm& tpm, const TpmName& parent) : tpm_(tpm), parent_(parent) {}

  // nullopt for another kind and another host's slot. Code::policy names the PCRs that differ.
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const CheckpointId& id) override;

 private:
  Error explain(const Tpm2Slot& slot, Error refusal);

  Tpm& tpm_;
  TpmName parent_;
};

}  // namespace ckptseal
