// SPDX-License-Identifier: Apache-2.0
//
// What a TPM says of itself and of what stands in it. Internal to keymgr/tpm2.
#pragma once

#include <string>
#include <vector>

#include "keymgr/tpm2/esys_internal.h"

namespace ckptseal {

// The handles from `first` to `first + count - 1` that exist.
Result<std::vector<TPM2_HANDLE>> handles_in(const EsysContext& context, TPM2_HANDLE first,
                                            std::uint32_t count);
Result<bool> handle_exists(const EsysContext& context, TPM2_HANDLE handle);

// A persistent object or NV index that exists, with its Name as the TPM tells it.
Result<EsysHandle> open_persistent(const EsysContext& context, TPM2_HANDLE handle);
Result<Bytes> name_of(const EsysContext& context, const EsysHandle& handle);

struct TpmMaker {
  std::string manufacturer;
  bool software = false;
};
Result<TpmMaker> read_maker(const EsysContext& context);

// How near the TPM is to refusing every PIN (TPM 2.0 Part 1, "Dictionary Attack Protection").
struct TpmLockout {
  std::uint32_t failures = 0;
  std::uint32_t most = 0;      // so many failures lock it
  std::uint32_t interval = 0;  // seconds after which it forgets one; 0: never
};
Result<TpmLockout> read_lockout(const EsysContext& context);

// TPM_PT_NV_BUFFER_MAX: the most that one TPM2_NV_Read gives.
Result<std::size_t> largest_nv_read(const EsysContext& context);
Result<Bytes> read_nv(const EsysContext& context, const EsysHandle& index, std::size_t size,
                      TpmOperation operation, ESYS_TR session = ESYS_TR_PASSWORD);

// The certificate of the RSA EK, cut to its DER length; empty when the TPM has none.
Result<Bytes> read_ek_certificate(const EsysContext& context);

}  // namespace ckptseal
