// SPDX-License-Identifier: Apache-2.0
//
// Field by field: asked for, else as it was, else the default.
#include "provisioning/statement.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace ckptseal {
namespace {

Result<Seconds> wanted_expiry(const ProvisionRequest& request,
                              const std::optional<SignedHostRecord>& present) {
  if (request.expires.has_value()) {
    if (*request.expires != 0 && *request.expires <= request.now) {
      return Error{Code::usage,
                   "The record would have expired already; choose a time in the future.", 0};
    }
    return *request.expires;
  }
  if (!present.has_value()) return Seconds{0};
  if (!present->expired(request.now)) return present->record().expires;
  return request.now + (present->record().expires - present->record().created);
}

bool same_keys(const HostRecord& a, const HostRecord& b) {
  const auto same_name = [](const CertifiedKey& x, const CertifiedKey& y) {
    return x.public_area.name() == y.public_area.name();
  };
  return a.attestation_key.name() == b.attestation_key.name() &&
         same_name(a.storage_parent, b.storage_parent) &&
         std::equal(a.signing_keys.begin(), a.signing_keys.end(), b.signing_keys.begin(),
                    b.signing_keys.end(), same_name);
}

// Without values: those count as PCRs and epoch.
std::string document_of(const std::optional<Policy>& policy) {
  return policy ? policy_document(opened(*policy)) : std::string();
}

CertifiedKey certified(const TpmPublic& key, const Certification& certification) {
  return {key, certification.attest, certification.signature};
}

}  // namespace

PcrSelection wanted_selection(const ProvisionRequest& request,
                              const std::optional<SignedHostRecord>& present) {
  if (request.selection.has_value()) return *request.selection;
  if (present.has_value()) return present->record().policy_anchor.selection;
  return PcrSelection::standard();
}

namespace {

// What does not depend on where the keys are.
Result<HostRecord> begin_statement(const ProvisionRequest& request,
                                   const std::optional<SignedHostRecord>& present) {
  HostRecord out;
  const std::string& kept_name =
      present.has_value() ? present->record().name : request.default_name;
  out.name = request.name.value_or(kept_name);
  CKPTSEAL_TRY(check_host_name(out.name));
  out.labels = request.labels.value_or(present.has_value() ? present->record().labels : Labels{});
  CKPTSEAL_TRY(check_labels(out.labels));
  CKPTSEAL_ASSIGN(out.expires, wanted_expiry(request, present));
  // Younger than the present one even when the clock went back: of two records the younger counts.
  out.created = std::max<Seconds>(request.now, 1);
  if (present.has_value()) out.created = std::max(out.created, present->record().created + 1);
  return out;
}

// What was open when it was asked for is filled in anew each time.
Result<std::optional<Policy>> wanted_policy(const ProvisionRequest& request, const HostRecord& host,
                                            const std::optional<SignedHostRecord>& present) {
  std::optional<Policy> open;
  if (request.policy) {
    open = *request.policy;
    if (open && policy_document(*open) != policy_document(opened(*open))) {
      return Error{Code::usage,
                   "The policy names PCR values or an epoch, which provision fills in from this "
                   "host: leave them open, as 'ckpt-seal policy create' does.",
                   0};
    }
  } else if (present && present->record().policy) {
    open = opened(*present->record().policy);
  }
  if (!open) return open;
  CKPTSEAL_ASSIGN(Policy policy, complete(*open, host.policy_state(), host.name));
  return std::optional<Policy>(std::move(policy));
}

}  // namespace

Result<HostRecord> make_statement(const ProvisionRequest& request, const TpmIdentity& identity,
                                  const PcrValues& anchor,
                                  const std::optional<SignedHostRecord>& present) {
  CKPTSEAL_ASSIGN(HostRecord out, begin_statement(request, present));
  out.ek_certificate = identity.ek_certificate;
  out.ek_public = identity.ek_public;
  out.attestation_key = identity.attestation_key;
  out.storage_parent = certified(identity.storage_parent, identity.storage_parent_certification);
  out.signing_keys = {certified(identity.signing_key, identity.signing_key_certification)};
  out.epoch_index = identity.epoch_index;
  out.epoch = identity.epoch;
  out.policy_anchor = anchor;
  CKPTSEAL_ASSIGN(out.policy, wanted_policy(request, out, present));
  out.software = identity.software;
  out.manufacturer = identity.manufacturer;
  return out;
}

Result<HostRecord> make_token_statement(const ProvisionRequest& request, const HostTokenKeys& keys,
                                        const HostToken& token,
                                        const std::optional<SignedHostRecord>& present) {
  CKPTSEAL_ASSIGN(HostRecord out, begin_statement(request, present));
  // The list of before, if there is one, for it ends with the host's identity.
  out.token = present ? *present->record().token : TokenKeys{keys.storage_key, {keys.signing_key}};
  out.software = !token.is_hardware();
  out.manufacturer = token.manufacturer();
  return out;
}

std::vector<std::string> differences(const HostRecord& present, const HostRecord& wanted) {
  std::vector<std::string> out;
  const auto note = [&out](bool differs, const char* what) {
    if (differs) out.emplace_back(what);
  };
  const bool other_selection = present.policy_anchor.selection != wanted.policy_anchor.selection;
  note(present.name != wanted.name, "name");
  note(present.labels != wanted.labels, "labels");
  note(present.expires != wanted.expires, "expiry");
  note(!same_keys(present, wanted), "TPM keys");
  note(present.token != wanted.token, "keys of the token");
  note(present.ek_certificate != wanted.ek_certificate || present.ek_public != wanted.ek_public,
       "endorsement key");
  note(present.epoch_index != wanted.epoch_index || present.epoch != wanted.epoch, "epoch");
  note(other_selection, "PCR selection");
  note(!other_selection && present.policy_anchor.values != wanted.policy_anchor.values,
       "PCR values");
  note(document_of(present.policy) != document_of(wanted.policy), "policy");
  note(present.software != wanted.software || present.manufacturer != wanted.manufacturer,
       wanted.token ? "kind of token" : "kind of TPM");
  return out;
}

std::vector<std::string> statement_warnings(const HostRecord& record) {
  std::vector<std::string> out;
  if (record.token) {
    out.emplace_back(
        "A token measures nothing: what is sealed for this host opens in any state of it, and "
        "wherever token and PIN are; use a TPM where there is one.");
    if (record.software) {
      out.emplace_back(
          "The token does not say that it is a device; if it is a program it protects nothing "
          "against root of this host.");
    }
    return out;
  }
  if (record.software) {
    out.emplace_back(
        "The TPM is software: it protects nothing against root of this host and counts nothing "
        "that cannot be set back; use a hardware TPM for more than a trial.");
  }
  if (record.policy_anchor.all_zero()) {
    out.push_back(fmt::format(
        "All PCRs of {} are zero: nothing measured the boot of this host, so they do not tell one "
        "state of it from another; turn measured boot on if the machine has it.",
        record.policy_anchor.selection.text()));
  }
  return out;
}

}  // namespace ckptseal
