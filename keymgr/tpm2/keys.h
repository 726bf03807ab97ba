// SPDX-License-Identifier: Apache-2.0
//
// What a provisioned host remembers of its TPM: which handles are its own and whose public parts
// stand behind them. It is read back from the state folder and is what pins the TPM: a storage
// parent with another Name is another TPM. docs/state.md, "tpm/keys".
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "policies/tpm_public.h"

namespace ckptseal {

struct TpmKey {
  std::uint32_t handle = 0;  // persistent, 0x81......
  TpmPublic public_area;
};

struct TpmKeys {
  TpmKey storage_parent;
  TpmKey attestation_key;
  TpmKey signing_key;
  Bytes storage_parent_blob;  // Esys_TR_Serialize: spares a TPM2_ReadPublic, and trusting it
  Bytes signing_key_blob;
  std::uint32_t epoch_index = 0;  // NV, 0x01......

  Bytes serialize() const;
  // Code::integrity for anything but what serialize() writes.
  static Result<TpmKeys> parse(ByteView bytes);
};

}  // namespace ckptseal
