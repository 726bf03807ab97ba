// SPDX-License-Identifier: Apache-2.0
//
// Sets this host up and takes that back: keys in the TPM, the files of the state folder, and a
// self-signed host record. docs/state.md, "host.record".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hosts/host_record.h"
#include "provisioning/provisioning_tpm.h"
#include "provisioning/state.h"

namespace ckptseal {

// What is left out stays as the present record has it; the first time it is as said here.
struct ProvisionRequest {
  std::optional<std::string> tcti;        // "soft", "device:..."; first: default_tcti
  std::optional<std::string> name;        // first: default_name
  std::optional<Labels> labels;           // all of them; first: none
  std::optional<PcrSelection> selection;  // first: PcrSelection::standard()
  // Left open (opened() of policies/policy_document.h); inside nothing: PCRs alone. First: nothing.
  std::optional<std::optional<Policy>> policy;
  std::optional<Seconds> expires;  // 0: never; first: never. A lapsed one is renewed for as long
  std::string default_tcti = "device:/dev/tpmrm0";
  std::string default_name;  // for example the host name of the machine
  Seconds now = 0;
  bool dry_run = false;
  ProvisionProgress progress;
};

struct ProvisionOutcome {
  std::vector<ProvisionStep> steps;        // in the TPM; `exists` is how it was before
  std::optional<SignedHostRecord> record;  // with dry_run the present one, if there is one
  bool new_record = false;
  std::vector<std::string> changes;   // why there is a new record: "labels", "PCR values", ...
  std::vector<std::string> warnings;  // whole sentences
};

// Running it again keeps everything that still holds, and completes what a crash left undone.
// Code::usage: a name or label that cannot be, or an expiry in the past; Code::failed: the TPM is
// not the one of this state folder; Code::untrusted: another host is trusted under that name.
Result<ProvisionOutcome> provision_host(const State& state, const ProvisionRequest& request,
                                        const TpmOpener& open_tpm);

// The same with a PKCS #11 token in place of a TPM; `uri` is what --hsm said, or nothing: as it
// was. What the request says of TPM and PCRs is not looked at. Code::usage when the host has a TPM.
Result<ProvisionOutcome> provision_token_host(const State& state, const ProvisionRequest& request,
                                              const std::optional<std::string>& uri);

struct RemovalRequest {
  bool trusted = false;      // trusted/ too
  bool without_tpm = false;  // the TPM or token is gone: files only
  bool dry_run = false;
};

struct RemovalOutcome {
  std::vector<ProvisionStep> steps;  // in the TPM; `exists`: it was there and went, or would go
  std::vector<std::string> paths;    // files and folders that went, or would go
  std::vector<std::string> warnings;
};

// Running it again completes what a crash left undone. Code::failed when nothing is provisioned
// here, Code::unavailable when the TPM cannot be reached (see without_tpm).
Result<RemovalOutcome> remove_host(const State& state, const RemovalRequest& request,
                                   const TpmOpener& open_tpm);

}  // namespace ckptseal
