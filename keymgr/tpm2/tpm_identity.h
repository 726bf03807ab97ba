// SPDX-License-Identifier: Apache-2.0
//
// Opens the TPM slots of this host: chooses a path through the release policy that the host can
// meet, gets what that path wants, and asks the TPM.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "keymgr/recipient.h"
#include "keymgr/tpm2/slot.h"
#include "keymgr/tpm2/ticket_cache.h"
#include "keymgr/tpm2/tpm.h"
#include "policies/pcr_state.h"

namespace ckptseal {

// Of all domains and keys.
struct ApprovalsAtHand {
  std::vector<Approval> usable;       // that hold now
  std::vector<std::string> refusals;  // why others are not: sentences
};

// What a policy may want beside the TPM. Each is asked for when it is needed, and once; but the
// approver for each session in which all else before has held.
struct ReleaseHelp {
  std::function<ApprovalsAtHand()> approvals;
  std::function<Result<Secret>()> pin;
  // From a request to an answer of docs/policies.md, "Online approval". None: nobody can be asked.
  std::function<Result<Bytes>(ByteView request)> approver;
  std::string who;                       // asks: for people at the other end
  std::shared_ptr<TicketCache> tickets;  // none: nothing is remembered
  // Told what the PCRs that were asked for held when the TPM released a key; not without any.
  std::function<void(const PcrState&)> released;
  // To be capped before a key that the TPM released is used: the slot's policy has to bind it.
  std::optional<unsigned> cap_pcr;
};

class Tpm2Identity : public Identity {
 public:
  // `tpm` outlives the identity; `parent` is the Name of this host's own storage parent.
  Tpm2Identity(Tpm& tpm, const TpmName& parent, ReleaseHelp help = {})
      : tpm_(tpm), parent_(parent), help_(std::move(help)) {}

  // nullopt for another kind and another host's slot. Code::policy says what is not met: the PCRs
  // that differ, the approval that is missing, the PIN; Code::revoked: the epoch is over, or the
  // online approval refused or not for this try; what the approver fails with;
  // Code::usage: capping that PCR would not keep the slot from being opened again.
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;
  // Caps the PCR. Code::usage when the TPM has released nothing, for then the cap would not keep
  // the file from being opened again.
  Status before_use() override;

 private:
  // One path, with one approval if it wants one.
  struct Try {
    const PolicyPath* path = nullptr;
    const Approval* approval = nullptr;
  };

  Result<Secret> release(const Tpm2Slot& slot, const Checkpoint& of);
  Status check_cap(const std::vector<Try>& all) const;
  Result<std::vector<Try>> tries(const std::vector<PolicyPath>& paths);
  Result<Secret> attempt(const Tpm2Slot& slot, const CheckpointId& id, const Try& chosen);
  Result<OnlineAnswer> ask(OnlineRequest request);
  Result<const Secret*> pin_for(const CheckpointId& id);

  Tpm& tpm_;
  TpmName parent_;
  ReleaseHelp help_;
  std::optional<ApprovalsAtHand> approvals_;
  std::optional<Secret> pin_;
  std::optional<std::pair<CheckpointId, Secret>> auth_;  // of pin_ for that checkpoint
  // docs/format.md, "Which slot opens": what is done at most once in a run.
  std::optional<Error> pin_refused_;
  std::optional<Error> gone_;
  bool asked_ = false;
  bool released_ = false;
  unsigned tried_ = 0;  // slots and shares
  bool approver_failed_ = false;
};

}  // namespace ckptseal
