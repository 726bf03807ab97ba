// SPDX-License-Identifier: Apache-2.0
//
// What a return code of the TPM or the TSS means to a user: one sentence with a remedy, and the
// code that callers branch on. TPM 2.0 Part 2, "TPM_RC".
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace ckptseal {

// What was asked of the TPM: the same code means different things.
enum class TpmOperation : std::uint8_t {
  connect,  // Startup, Shutdown, GetCapability
  import,
  load,
  load_context,
  start_session,
  policy_pcr,
  policy_or,
  policy_authorize,
  policy_nv,
  policy_pin,
  policy_signed,
  verify_ticket,
  unseal,
  sign,
  read_pcrs,
  extend_pcr,
  read_public,
  create_key,
  make_persistent,
  certify,
  epoch,      // NV commands on the epoch counter
  count_use,  // and on the use counter
  read_certificate,
  activate_credential,
  flush,
};

// The error for a code other than success; its cause is the code.
Error tpm_error(std::uint32_t code, TpmOperation operation);

// True for TPM_RC_PCR_CHANGED: worth another try from the start.
bool is_pcr_changed(std::uint32_t code);
// True for a ticket that this TPM did not make: the signature has to be verified again.
bool is_foreign_ticket(std::uint32_t code);
// True when the TPM refused the PIN: each try brings its lockout nearer.
bool is_wrong_pin(const Error& error);
// True for TPM_RC_NV_RATE: worth another try after a pause.
bool is_nv_rate(std::uint32_t code);

}  // namespace ckptseal
