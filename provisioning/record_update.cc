// SPDX-License-Identifier: Apache-2.0
#include "provisioning/record_update.h"

#include "hosts/trust.h"
#include "provisioning/statement.h"

namespace ckptseal {

Status check_request(const ProvisionRequest& request,
                     const std::optional<SignedHostRecord>& present) {
  const std::string& kept = present.has_value() ? present->record().name : request.default_name;
  CKPTSEAL_TRY(check_host_name(request.name.value_or(kept)));
  if (request.labels.has_value()) CKPTSEAL_TRY(check_labels(*request.labels));
  return {};
}

Status bring_record_up_to_date(const State& state, const ProvisionRequest& request,
                               const HostRecord& statement, const DigestSigner& signer,
                               ProvisionOutcome& outcome) {
  if (outcome.record.has_value()) {
    outcome.changes = differences(outcome.record->record(), statement);
    if (outcome.changes.empty()) return {};
  }
  CKPTSEAL_ASSIGN(SignedHostRecord signed_record, sign_host_record(statement, signer));
  // Asks without writing whether another host has the name.
  TrustStore trust(state.trusted_folder(), request.now);
  CKPTSEAL_TRY(trust.add(signed_record, {{false, true}, std::nullopt, false, true}));
  // Its signing keys may have signed files that were sealed until now.
  if (outcome.record.has_value() && !outcome.record->expired(request.now)) {
    CKPTSEAL_TRY(trust.add(*outcome.record, {{false, true}, std::nullopt, false, false}));
  }
  CKPTSEAL_TRY(state.write_record(signed_record));
  outcome.record = std::move(signed_record);
  outcome.new_record = true;
  return {};
}

}  // namespace ckptseal
