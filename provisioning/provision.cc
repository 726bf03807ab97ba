// SPDX-License-Identifier: Apache-2.0
//
// The order in which things are written is that of docs/state.md, "host.record": whatever is there
// after a crash, running again finds it and goes on.
#include "provisioning/provision.h"

#include <fmt/format.h>

#include <algorithm>

#include "hosts/trust.h"
#include "provisioning/record_update.h"
#include "provisioning/statement.h"
#include "provisioning/use_setup.h"

namespace ckptseal {
namespace {

// What the state folder holds when provision begins.
struct Present {
  std::optional<std::string> tcti;
  std::optional<TpmKeys> keys;
  std::optional<SignedHostRecord> record;
  std::vector<std::string> warnings;
};

Result<Present> read_present(const State& state) {
  Present out;
  if (const Status there = state.check(); !there.ok()) {
    if (there.error().cause == ENOENT) return out;
    return there.error();
  }
  Result<std::optional<std::string>> tcti = state.tcti();
  if (!tcti.ok() && tcti.error().code != Code::integrity) return std::move(tcti).error();
  if (tcti.ok()) out.tcti = std::move(tcti).value();
  // The keys can be found in the TPM again, and the record still pins it.
  Result<std::optional<TpmKeys>> keys = state.keys();
  if (!keys.ok() && keys.error().code != Code::integrity) return std::move(keys).error();
  if (keys.ok()) {
    out.keys = std::move(keys).value();
  } else {
    out.warnings.push_back(
        fmt::format("{} was damaged and has been written again.", state.keys_path()));
  }
  Result<std::optional<SignedHostRecord>> record = state.record();
  if (!record.ok() && record.error().code == Code::integrity) {
    return Error{
        Code::integrity,
        fmt::format("{} is damaged: put back a copy of it, or move it away to have a new one "
                    "made; what this host sealed before then opens only where the earlier "
                    "record is trusted.",
                    state.record_path()),
        0};
  }
  if (!record.ok()) return std::move(record).error();
  out.record = std::move(record).value();
  return out;
}

bool same_tpm(const Present& present, const TpmIdentity& identity) {
  const TpmName& parent = identity.storage_parent.name();
  const TpmName& attestation = identity.attestation_key.name();
  if (present.keys.has_value()) {
    return present.keys->storage_parent.public_area.name() == parent &&
           present.keys->attestation_key.public_area.name() == attestation;
  }
  if (!present.record.has_value()) return true;
  const HostRecord& record = present.record->record();
  return record.storage_parent.public_area.name() == parent &&
         record.attestation_key.name() == attestation;
}

Error another_tpm(const State& state) {
  return {
      Code::failed,
      fmt::format("{} belongs to another TPM than this one, or the TPM was cleared: name the "
                  "right one with --tpm, or start anew with ckpt-seal provision --remove, after "
                  "which nothing that was sealed for this host opens here.",
                  state.folder()),
      0};
}

// Keys that were made just now in a TPM that is not ours go again; those that were there stay.
Result<TpmIdentity> provision_pinned(const State& state, const Present& present,
                                     const std::vector<ProvisionStep>& steps,
                                     const ProvisionProgress& progress, ProvisioningTpm& tpm) {
  CKPTSEAL_ASSIGN(TpmIdentity identity, tpm.provision(progress));
  if (same_tpm(present, identity)) return identity;
  const bool all_new = std::none_of(steps.begin(), steps.end(),
                                    [](const ProvisionStep& step) { return step.exists; });
  if (all_new) CKPTSEAL_TRY(tpm.remove(identity.keys));
  return another_tpm(state);
}

}  // namespace

Result<ProvisionOutcome> provision_host(const State& state, const ProvisionRequest& request,
                                        const TpmOpener& open_tpm) {
  CKPTSEAL_ASSIGN(const Present before, read_present(state));
  CKPTSEAL_TRY(check_request(request, before.record));
  const std::string tcti = request.tcti.value_or(before.tcti.value_or(request.default_tcti));
  if (!request.dry_run) CKPTSEAL_TRY(state.create());
  CKPTSEAL_ASSIGN(const std::unique_ptr<ProvisioningTpm> tpm,
                  open_tpm(state, tcti, request.dry_run));
  // Again, for now the TPM is ours alone and nobody else provisions.
  CKPTSEAL_ASSIGN(const Present present, read_present(state));
  ProvisionOutcome outcome;
  CKPTSEAL_ASSIGN(outcome.steps, tpm->plan());
  outcome.record = present.record;
  if (request.dry_run) return outcome;

  CKPTSEAL_ASSIGN(const TpmIdentity identity,
                  provision_pinned(state, present, outcome.steps, request.progress, *tpm));
  CKPTSEAL_ASSIGN(const PcrValues anchor,
                  tpm->read_pcrs(wanted_selection(request, present.record)));
  CKPTSEAL_ASSIGN(const HostRecord statement,
                  make_statement(request, identity, anchor, present.record));
  if (present.tcti != tcti) CKPTSEAL_TRY(state.write_tcti(tcti));
  if (!present.keys.has_value() || present.keys->serialize() != identity.keys.serialize()) {
    CKPTSEAL_TRY(state.write_keys(identity.keys));
  }
  CKPTSEAL_TRY(bring_uses_up_to_date(state, request, identity, *tpm, outcome));
  CKPTSEAL_TRY(bring_record_up_to_date(
      state, request, statement,
      [&](const Digest& digest) { return tpm->sign(identity.keys, digest); }, outcome));
  outcome.warnings.insert(outcome.warnings.begin(), present.warnings.begin(),
                          present.warnings.end());
  const std::vector<std::string> warnings = statement_warnings(statement);
  outcome.warnings.insert(outcome.warnings.end(), warnings.begin(), warnings.end());
  return outcome;
}

}  // namespace ckptseal
