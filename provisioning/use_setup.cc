// SPDX-License-Identifier: Apache-2.0
//
// A new record is made so that no earlier one can take its place, and nothing that may have been
// used before is used again.
#include "provisioning/use_setup.h"

#include <fmt/format.h>

#include <algorithm>

namespace ckptseal {
namespace {

constexpr const char* step_name = "use counter";  // as keymgr/tpm2/provision.h calls it

bool was_there(const std::vector<ProvisionStep>& steps) {
  return std::any_of(steps.begin(), steps.end(), [](const ProvisionStep& step) {
    return step.what == step_name && step.exists;
  });
}

// What is wrong with the record that is there.
struct Present {
  std::optional<UseRecord> record;
  bool damaged = false;
};

Result<Present> read_present(const std::string& path) {
  Result<std::optional<UseRecord>> record = read_uses(path);
  if (record.ok()) return Present{std::move(record).value(), false};
  if (record.error().code == Code::integrity) return Present{std::nullopt, true};
  return std::move(record).error();
}

std::string what_was_wrong(const Present& present, bool counter_was_there) {
  if (present.damaged) return "was damaged";
  if (!present.record) return "was missing";
  return counter_was_there ? "was not of the present moment" : "had lost its counter in the TPM";
}

}  // namespace

bool agrees(const UseRecord& record, std::uint32_t counter_index, std::uint64_t counter) {
  return record.counter_index() == counter_index &&
         (record.counter() == counter || record.counter() == counter + 1);
}

Status bring_uses_up_to_date(const State& state, const ProvisionRequest& request,
                             const TpmIdentity& identity, ProvisioningTpm& tpm,
                             ProvisionOutcome& outcome) {
  CKPTSEAL_ASSIGN(const Present present, read_present(state.uses_path()));
  const bool counter_was_there = was_there(outcome.steps);
  if (present.record && agrees(*present.record, identity.use_index, identity.uses)) return {};
  const bool first = !present.record && !present.damaged && !counter_was_there;
  // An earlier record may be one ahead: it must not agree with the counter any more.
  CKPTSEAL_TRY(tpm.count_use(identity.keys, identity.use_index));
  CKPTSEAL_TRY(tpm.count_use(identity.keys, identity.use_index));
  CKPTSEAL_ASSIGN(const std::uint64_t counter,
                  tpm.read_use_count(identity.keys, identity.use_index));
  // Nor does a clock that goes back let in what an earlier record had refused.
  const std::uint64_t since =
      std::max(first ? request.now : request.now + 1, present.record ? present.record->since() : 0);
  CKPTSEAL_TRY(write_uses(state.uses_path(), UseRecord(identity.use_index, counter, since)));
  if (!first) {
    outcome.warnings.push_back(fmt::format(
        "{} {} and has been made anew: checkpoints with a limit of restores that were created "
        "before now are refused on this host from now on.",
        state.uses_path(), what_was_wrong(present, counter_was_there)));
  }
  return {};
}

}  // namespace ckptseal
