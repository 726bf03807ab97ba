// SPDX-License-Identifier: Apache-2.0
//
// What a new host record is to say, and whether the present one says it already. Pure: no TPM, no
// clock, no files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hosts/host_record.h"
#include "keymgr/pkcs11/host_token.h"
#include "keymgr/tpm2/provision.h"
#include "provisioning/provision.h"

namespace ckptseal {

// Which PCRs the record is to bind to: those asked for, or the present record's, or the standard.
PcrSelection wanted_selection(const ProvisionRequest& request,
                              const std::optional<SignedHostRecord>& present);

// Code::usage when what is asked for cannot be said.
Result<HostRecord> make_statement(const ProvisionRequest& request, const TpmIdentity& identity,
                                  const PcrValues& anchor,
                                  const std::optional<SignedHostRecord>& present);

// The same of a host with a token, whose `present` record has these keys.
Result<HostRecord> make_token_statement(const ProvisionRequest& request, const HostTokenKeys& keys,
                                        const HostToken& token,
                                        const std::optional<SignedHostRecord>& present);

// In words what `wanted` says that `present` does not: empty when the present record can stay. The
// time of creation and the certifications, which differ each time they are made, do not count.
std::vector<std::string> differences(const HostRecord& present, const HostRecord& wanted);

// What the user has to know about a record, in whole sentences.
std::vector<std::string> statement_warnings(const HostRecord& record);

}  // namespace ckptseal
