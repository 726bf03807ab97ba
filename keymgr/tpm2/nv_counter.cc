// SPDX-License-Identifier: Apache-2.0
//
// TPM2_NV_DefineSpace, NV_Increment and NV_Read of one counter.
#include "keymgr/tpm2/nv_counter.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "keymgr/tpm2/tpm_inventory.h"

namespace ckptseal {
namespace {

constexpr std::uint32_t indices = 16;
constexpr TPMA_NV counter_attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD |
                                       TPMA_NV_NO_DA | (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT);

Result<TPMS_NV_PUBLIC> public_of(const EsysContext& context, const CounterKind& kind,
                                 const EsysHandle& index) {
  EsysPtr<TPM2B_NV_PUBLIC> area;
  EsysPtr<TPM2B_NAME> name;
  CKPTSEAL_TRY(context.run(kind.operation, [&] {
    return Esys_NV_ReadPublic(context.get(), index.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              into(area), into(name));
  }));
  return area->nvPublic;
}

bool ours(const TPMS_NV_PUBLIC& area) {
  return (area.attributes & ~TPMA_NV_WRITTEN) == counter_attributes &&
         area.nameAlg == TPM2_ALG_SHA256 && area.dataSize == 8 && area.authPolicy.size == 0;
}

Status increment(const EsysContext& context, const CounterKind& kind, const EsysHandle& index,
                 EsysHandle* session) {
  CKPTSEAL_TRY(context.run(kind.operation, [&] {
    return Esys_NV_Increment(context.get(), ESYS_TR_RH_OWNER, index.get(),
                             session == nullptr ? ESYS_TR_PASSWORD : session->get(), ESYS_TR_NONE,
                             ESYS_TR_NONE);
  }));
  if (session != nullptr) session->gone();  // CONTINUESESSION was clear
  return {};
}

Error gone(const CounterKind& kind) {
  return {
      Code::unavailable,
      fmt::format("The {} of this host is gone from its TPM: run ckpt-seal provision.", kind.name),
      0};
}

// Ours at that index; an empty handle when there is none.
struct Found {
  EsysHandle handle;
  bool written = false;
};
Result<std::optional<Found>> open_ours(const EsysContext& context, const CounterKind& kind,
                                       TPM2_HANDLE index) {
  CKPTSEAL_ASSIGN(const bool exists, handle_exists(context, index));
  if (!exists) return std::optional<Found>();
  CKPTSEAL_ASSIGN(EsysHandle handle, open_persistent(context, index));
  CKPTSEAL_ASSIGN(const TPMS_NV_PUBLIC area, public_of(context, kind, handle));
  if (!ours(area)) return std::optional<Found>();
  return std::optional<Found>({std::move(handle), (area.attributes & TPMA_NV_WRITTEN) != 0});
}

}  // namespace

Result<CounterPlace> find_counter(const EsysContext& context, const CounterKind& kind) {
  const TPM2_HANDLE first = kind.first_index;
  CKPTSEAL_ASSIGN(const std::vector<TPM2_HANDLE> taken, handles_in(context, first, indices));
  for (const TPM2_HANDLE index : taken) {
    CKPTSEAL_ASSIGN(const EsysHandle handle, open_persistent(context, index));
    CKPTSEAL_ASSIGN(const TPMS_NV_PUBLIC area, public_of(context, kind, handle));
    if (ours(area)) return CounterPlace{index, true};
  }
  for (TPM2_HANDLE index = first; index < first + indices; ++index) {
    if (std::find(taken.begin(), taken.end(), index) == taken.end())
      return CounterPlace{index, false};
  }
  return Error{Code::unavailable,
               fmt::format("Other software has taken all NV indices from {:#x} to {:#x} of the "
                           "TPM: free one with tpm2_nvundefine, and provision again.",
                           first, first + indices - 1),
               0};
}

Status define_counter(const EsysContext& context, const CounterKind& kind, TPM2_HANDLE index) {
  const TPM2B_AUTH no_auth{};
  TPM2B_NV_PUBLIC area{};
  area.nvPublic.nvIndex = index;
  area.nvPublic.nameAlg = TPM2_ALG_SHA256;
  area.nvPublic.attributes = counter_attributes;
  area.nvPublic.dataSize = 8;
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.run(kind.operation, [&] {
    return Esys_NV_DefineSpace(context.get(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                               ESYS_TR_NONE, &no_auth, &area, &raw);
  }));
  EsysHandle::persistent(context, raw).reset();
  return {};
}

Result<std::uint64_t> read_counter(const EsysContext& context, const CounterKind& kind,
                                   TPM2_HANDLE index, EsysHandle* session) {
  CKPTSEAL_ASSIGN(const std::optional<Found> counter, open_ours(context, kind, index));
  if (!counter) return gone(kind);
  if (!counter->written) CKPTSEAL_TRY(increment(context, kind, counter->handle, nullptr));
  CKPTSEAL_ASSIGN(const Bytes value,
                  read_nv(context, counter->handle, 8, kind.operation,
                          session == nullptr ? ESYS_TR_PASSWORD : session->get()));
  if (session != nullptr) session->gone();
  return ByteReader(value).u64();
}

Status increment_counter(const EsysContext& context, const CounterKind& kind, TPM2_HANDLE index,
                         EsysHandle* session) {
  CKPTSEAL_ASSIGN(const std::optional<Found> counter, open_ours(context, kind, index));
  if (!counter) return gone(kind);
  return increment(context, kind, counter->handle, session);
}

Result<bool> undefine_counter(const EsysContext& context, const CounterKind& kind,
                              TPM2_HANDLE index, bool dry_run) {
  CKPTSEAL_ASSIGN(const std::optional<Found> counter, open_ours(context, kind, index));
  if (!counter) return false;
  if (dry_run) return true;
  CKPTSEAL_TRY(context.run(kind.operation, [&] {
    return Esys_NV_UndefineSpace(context.get(), ESYS_TR_RH_OWNER, counter->handle.get(),
                                 ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE);
  }));
  return true;
}

}  // namespace ckptseal
