// SPDX-License-Identifier: Apache-2.0
//
// The clock is the caller's, and who writes uses down is the parent: what is missing here refuses.
#include "sealing/limits.h"

#include "policies/use_record.h"

namespace ckptseal {

Result<UnlockedSlot> find_key(const SealedFile& file, const ReadJob& job, HelperChannel& channel) {
  const UseLimits& limits = file.immutable().limits;
  if (limits.not_after != 0) {
    if (!job.check_time) return Error{Code::revoked, "it has an end, and there is no clock", 0};
    CKPTSEAL_TRY(job.check_time(limits.not_after));
  }
  CKPTSEAL_ASSIGN(const auto identities, job.identities(channel));
  SlotSearch search{identities, job.trust(), job.only_slot, {}};
  search.warn = [&channel](const std::string& sentence) { (void)channel.warn(sentence); };
  return find_slot(file, search);
}

Status count_use(const SealedFile& file, HelperChannel& channel) {
  const ImmutablePart& immutable = file.immutable();
  if (immutable.limits.restores == 0) return {};
  return channel.count_use(
      {use_key(immutable.origin, immutable.id), immutable.limits.restores, immutable.created});
}

}  // namespace ckptseal
