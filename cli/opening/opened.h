// SPDX-License-Identifier: Apache-2.0
//
// Remembers in the state folder in which state the host's TPM last opened a checkpoint, and finds
// that again. docs/state.md, "tpm/opened/". A convenience: whatever goes wrong is passed over.
#pragma once

#include <optional>
#include <string>

#include "keymgr/recipient.h"
#include "policies/event_log.h"
#include "policies/opened_states.h"
#include "provisioning/state.h"

namespace ckptseal {

struct LastOpening {
  OpenedState state;
  std::optional<EventLog> log;  // of that boot
};

// `opened` without its log, which is read from `event_log`.
void remember_opening(const State& state, const CheckpointId& id, OpenedState opened,
                      const std::string& event_log);

// nullopt when none is remembered.
std::optional<LastOpening> last_opening(const State& state, const CheckpointId& id);

}  // namespace ckptseal
