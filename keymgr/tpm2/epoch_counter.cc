// SPDX-License-Identifier: Apache-2.0
//
// TPM2_NV_DefineSpace, NV_Increment and NV_Read of one counter.
#include "keymgr/tpm2/epoch_counter.h"

#include <algorithm>

#include "keymgr/tpm2/tpm_inventory.h"

namespace ckptseal {
namespace {

constexpr TPM2_HANDLE first_index = 0x01800f00;
constexpr std::uint32_t indices = 16;
constexpr TPMA_NV counter_attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD |
                                       TPMA_NV_NO_DA | (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT);

Result<TPMS_NV_PUBLIC> public_of(const EsysContext& context, const EsysHandle& index) {
  EsysPtr<TPM2B_NV_PUBLIC> area;
  EsysPtr<TPM2B_NAME> name;
  CKPTSEAL_TRY(context.run(TpmOperation::epoch, [&] {
    return Esys_NV_ReadPublic(context.get(), index.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              into(area), into(name));
  }));
  return area->nvPublic;
}

bool ours(const TPMS_NV_PUBLIC& area) {
  return (area.attributes & ~TPMA_NV_WRITTEN) == counter_attributes &&
         area.nameAlg == TPM2_ALG_SHA256 && area.dataSize == 8 && area.authPolicy.size == 0;
}

Status increment(const EsysContext& context, const EsysHandle& index) {
  return context.run(TpmOperation::epoch, [&] {
    return Esys_NV_Increment(context.get(), ESYS_TR_RH_OWNER, index.get(), ESYS_TR_PASSWORD,
                             ESYS_TR_NONE, ESYS_TR_NONE);
  });
}

}  // namespace

Result<EpochPlace> find_epoch(const EsysContext& context) {
  CKPTSEAL_ASSIGN(const std::vector<TPM2_HANDLE> taken, handles_in(context, first_index, indices));
  for (const TPM2_HANDLE index : taken) {
    CKPTSEAL_ASSIGN(const EsysHandle handle, open_persistent(context, index));
    CKPTSEAL_ASSIGN(const TPMS_NV_PUBLIC area, public_of(context, handle));
    if (ours(area)) return EpochPlace{index, true};
  }
  for (TPM2_HANDLE index = first_index; index < first_index + indices; ++index) {
    if (std::find(taken.begin(), taken.end(), index) == taken.end())
      return EpochPlace{index, false};
  }
  return Error{Code::unavailable,
               "Other software has taken all NV indices from 0x1800f00 to 0x1800f0f of the TPM: "
               "free one with tpm2_nvundefine, and provision again.",
               0};
}

Status define_epoch(const EsysContext& context, TPM2_HANDLE index) {
  const TPM2B_AUTH no_auth{};
  TPM2B_NV_PUBLIC area{};
  area.nvPublic.nvIndex = index;
  area.nvPublic.nameAlg = TPM2_ALG_SHA256;
  area.nvPublic.attributes = counter_attributes;
  area.nvPublic.dataSize = 8;
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.run(TpmOperation::epoch, [&] {
    return Esys_NV_DefineSpace(context.get(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                               ESYS_TR_NONE, &no_auth, &area, &raw);
  }));
  EsysHandle::persistent(context, raw).reset();
  return {};
}

Result<std::uint64_t> read_epoch(const EsysContext& context, TPM2_HANDLE index) {
  CKPTSEAL_ASSIGN(const EsysHandle handle, open_persistent(context, index));
  CKPTSEAL_ASSIGN(const TPMS_NV_PUBLIC area, public_of(context, handle));
  if ((area.attributes & TPMA_NV_WRITTEN) == 0) CKPTSEAL_TRY(increment(context, handle));
  CKPTSEAL_ASSIGN(const Bytes value, read_nv(context, handle, 8, TpmOperation::epoch));
  return ByteReader(value).u64();
}

Result<std::uint64_t> increment_epoch(const EsysContext& context, TPM2_HANDLE index) {
  CKPTSEAL_ASSIGN(const bool exists, handle_exists(context, index));
  if (exists) {
    CKPTSEAL_ASSIGN(const EsysHandle handle, open_persistent(context, index));
    CKPTSEAL_ASSIGN(const TPMS_NV_PUBLIC area, public_of(context, handle));
    if (ours(area)) {
      CKPTSEAL_TRY(increment(context, handle));
      return read_epoch(context, index);
    }
  }
  return Error{Code::failed,
               "The epoch counter of this host is gone from its TPM: run ckpt-seal provision.", 0};
}

Result<bool> undefine_epoch(const EsysContext& context, TPM2_HANDLE index, bool dry_run) {
  CKPTSEAL_ASSIGN(const bool exists, handle_exists(context, index));
  if (!exists) return false;
  CKPTSEAL_ASSIGN(EsysHandle handle, open_persistent(context, index));
  CKPTSEAL_ASSIGN(const TPMS_NV_PUBLIC area, public_of(context, handle));
  if (!ours(area)) return false;
  if (dry_run) return true;
  CKPTSEAL_TRY(context.run(TpmOperation::epoch, [&] {
    return Esys_NV_UndefineSpace(context.get(), ESYS_TR_RH_OWNER, handle.get(), ESYS_TR_PASSWORD,
                                 ESYS_TR_NONE, ESYS_TR_NONE);
  }));
  return true;
}

}  // namespace ckptseal
