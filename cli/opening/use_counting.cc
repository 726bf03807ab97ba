// SPDX-License-Identifier: Apache-2.0
//
// The record first, then the counter, then the content: whatever is cut short costs a use.
#include "cli/opening/use_counting.h"

#include <fmt/format.h>

#include "base/step.h"
#include "base/utc_time.h"
#include "keymgr/tpm2/use_count.h"
#include "provisioning/use_setup.h"

namespace ckptseal {
namespace {

constexpr const char* limited = "its restores are limited";

// What the record says of the present moment.
struct Uses {
  UseRecord record;
  std::uint64_t counter = 0;
};

Result<Uses> read_both(const HostAccess& host, TpmConnection& tpm) {
  const std::string path = host.state().uses_path();
  CKPTSEAL_ASSIGN(std::optional<UseRecord> record, read_uses(path));
  if (!record || !record->bound_to_counter()) {
    return Error{Code::unavailable,
                 fmt::format("the record of uses of this host, {}, is missing; run 'ckpt-seal "
                             "provision', which makes a new one and tells what that means",
                             path),
                 0};
  }
  CKPTSEAL_ASSIGN(const std::uint64_t counter,
                  read_use_count(tpm, host.keys(), record->counter_index()));
  if (agrees(*record, record->counter_index(), counter)) return Uses{*std::move(record), counter};
  return Error{
      Code::revoked,
      fmt::format("the record of uses of this host, {}, is not the latest one: its TPM has counted "
                  "to {} and the record to {}; put the latest back, or run 'ckpt-seal provision', "
                  "after which what was sealed before and has a limit of restores stays refused",
                  path, counter, record->counter()),
      0};
}

}  // namespace

Status count_use(const HostAccess& host, const UseRequest& use) {
  if (!host.provisioned() || host.has_token()) {
    return Error{Code::usage,
                 fmt::format("{}, and this host, which {}, keeps no record of uses; {}", limited,
                             host.provisioned() ? "has no TPM" : "is not provisioned",
                             host.provisioned() ? "open it on one that has a TPM"
                                                : "run 'ckpt-seal provision' first"),
                 0};
  }
  CKPTSEAL_ASSIGN(const TpmSession session, host.start_tpm());
  CKPTSEAL_ASSIGN(TpmConnection tpm, session.connect(host.tpm_timeout()));
  reached("use: the TPM is locked");
  CKPTSEAL_ASSIGN(Uses uses, read_both(host, tpm));
  const std::uint32_t index = uses.record.counter_index();
  // A crash left it one ahead: the counter follows, before the record goes on.
  if (uses.record.counter() != uses.counter) CKPTSEAL_TRY(count_use(tpm, host.keys(), index));
  CKPTSEAL_TRY(uses.record.count(use.key, use.restores, use.created));
  CKPTSEAL_TRY(write_uses(host.state().uses_path(), uses.record));
  CKPTSEAL_TRY(count_use(tpm, host.keys(), index));
  reached("use: it is counted");
  return {};
}

Status check_uses(const HostAccess& host, TpmConnection& tpm) {
  CKPTSEAL_ASSIGN(const Uses uses, read_both(host, tpm));
  (void)uses;
  return {};
}

Status check_not_after(std::uint64_t not_after) {
  if (now_seconds() < not_after) return {};
  return Error{
      Code::revoked,
      fmt::format(
          "it is refused since {}, the time that was set when it was sealed; if it is still "
          "needed, have its content sealed anew",
          utc_time(not_after)),
      0};
}

}  // namespace ckptseal
