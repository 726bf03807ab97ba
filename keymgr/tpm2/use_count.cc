// SPDX-License-Identifier: Apache-2.0
//
// One session for each command, as it serves once. TPM 2.0 Part 1, "HMAC Computation": the answer
// comes from the TPM that has the storage parent, and is the answer to this command.
#include "keymgr/tpm2/use_count.h"

#include "keymgr/tpm2/nv_counter.h"

namespace ckptseal {

Result<std::uint64_t> read_use_count(TpmConnection& connection, const TpmKeys& keys,
                                     std::uint32_t index) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  CKPTSEAL_ASSIGN(const EsysHandle parent,
                  pinned_key(context, keys.storage_parent_blob, keys.storage_parent));
  CKPTSEAL_ASSIGN(EsysHandle session, start_session(context, parent, TPM2_SE_HMAC));
  return read_counter(context, use_counter, index, &session);
}

Status count_use(TpmConnection& connection, const TpmKeys& keys, std::uint32_t index) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  CKPTSEAL_ASSIGN(const EsysHandle parent,
                  pinned_key(context, keys.storage_parent_blob, keys.storage_parent));
  CKPTSEAL_ASSIGN(EsysHandle session, start_session(context, parent, TPM2_SE_HMAC));
  return increment_counter(context, use_counter, index, &session);
}

}  // namespace ckptseal
