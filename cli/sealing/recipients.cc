// SPDX-License-Identifier: Apache-2.0
//
// From names to host records, keys and passphrases, and from these to slots.
#include "cli/sealing/recipients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fd.h"
#include "cli/sealing/policy_files.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/pkcs11/token_key.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/mixture.h"
#include "keymgr/threshold/shares.h"
#include "keymgr/threshold/threshold.h"

namespace ckptseal {
Result<Recipients> Recipients::find(const HostAccess& host, const std::vector<std::string>& names,
                                    std::size_t threshold, const IssuerOptions& issuers,
                                    const std::string& policy_file) {
  Recipients out;
  out.threshold_ = threshold;
  CKPTSEAL_ASSIGN(out.chain_, chain_of(issuers));
  for (const std::string& name : names) CKPTSEAL_TRY(out.add(host, name));
  if (out.chain_ && out.keys_.empty()) {
    return Error{Code::usage,
                 "--ca says who vouches for certificates, and no recipient is one: name a file "
                 "with a certificate, or leave --ca out.",
                 0};
  }
  if (threshold != 1) CKPTSEAL_TRY(out.check_threshold());
  CKPTSEAL_TRY(out.choose_policies(policy_file));
  return out;
}

Status Recipients::choose_policies(const std::string& policy_file) {
  std::optional<Policy> named;
  if (!policy_file.empty()) {
    CKPTSEAL_ASSIGN(PolicyDocument document, read_policy_file(policy_file));
    named = std::move(document.policy);
    limits_ = document.limits;
  }
  bool used = false;
  for (Host& host : hosts_) {
    const HostRecord& record = host.record.record();
    if (record.token) continue;
    host.policy = record.release_policy();
    if (!named) {
      CKPTSEAL_TRY(check_authorities(host.policy,
                                     fmt::format("The policy in the record of {}", record.name)));
      continue;
    }
    CKPTSEAL_ASSIGN(host.policy, complete(*named, record.policy_state(), record.name));
    used = true;
  }
  if (!named || used) return {};
  return Error{Code::usage,
               "--policy is for hosts with a TPM, and none of the recipients is one: name one, or "
               "leave --policy out.",
               0};
}

bool Recipients::have_pin() const {
  return std::any_of(hosts_.begin(), hosts_.end(),
                     [](const Host& host) { return host.policy.has_pin(); });
}

Status Recipients::check_threshold() const {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!same_host(hosts_[i].record.record(), hosts_[j].record.record())) continue;
      return Error{
          Code::usage,
          fmt::format("{} is named twice, by two records, and would have two shares of the "
                      "threshold: name each recipient once.",
                      hosts_[i].record.record().name),
          0};
    }
  }
  if (threshold_ >= 2 && threshold_ <= count() && count() <= largest_share_count) return {};
  return Error{
      Code::usage,
      fmt::format("--threshold {} does not fit {} recipients: name one from 1 to their number, of "
                  "at most {} recipients.",
                  threshold_, count(), largest_share_count),
      0};
}

Status Recipients::add(const HostAccess& host, const std::string& name) {
  if (name == "passphrase") {
    passphrase_ = true;
    return {};
  }
  if (name == "recovery") {
    recovery_ = true;
    return {};
  }
  if (TokenUri::looks_like_one(name)) {
    CKPTSEAL_ASSIGN(TokenUri uri, TokenUri::parse(name));
    if (chain_) return nobody_vouches(uri.name());
    const bool twice = std::any_of(tokens_.begin(), tokens_.end(), [&](const TokenUri& other) {
      return other.name() == uri.name();
    });
    if (!twice) tokens_.push_back(std::move(uri));
    return {};
  }
  if (names_file(name)) {
    CKPTSEAL_ASSIGN(const bool is_key, add_key_file(name));
    if (is_key) return {};
  }
  if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(SignedHostRecord record, host.trust_store().find_recipient(name));
  const bool twice = std::any_of(hosts_.begin(), hosts_.end(), [&](const Host& other) {
    return other.record.fingerprint() == record.fingerprint();
  });
  if (!twice) hosts_.push_back({std::move(record), {}});
  return {};
}

// False when it is neither a certificate nor a public key.
Result<bool> Recipients::add_key_file(const std::string& path) {
  CKPTSEAL_ASSIGN(std::optional<NamedKey> found, read_key_file(path, chain_ ? &*chain_ : nullptr));
  if (!found) return false;
  const bool twice = std::any_of(keys_.begin(), keys_.end(),
                                 [&](const NamedKey& other) { return other.id() == found->id(); });
  if (found->kind() == SlotKind::hybrid) CKPTSEAL_TRY(require_ml_kem(Code::usage));
  if (!twice) keys_.push_back(*std::move(found));
  return true;
}

Status Recipients::check_kinds() const {
  std::vector<std::uint16_t> kinds;
  for (const NamedKey& key : keys_) kinds.push_back(static_cast<std::uint16_t>(key.kind()));
  // Hosts and tokens are classical, of whatever kind their slots are.
  kinds.resize(keys_.size() + hosts_.size() + tokens_.size(),
               static_cast<std::uint16_t>(SlotKind::tpm2));
  return check_mixture(kinds);
}

void Recipients::warn(Console& console, bool recovery) const {
  for (const auto& [signed_record, policy] : hosts_) {
    const HostRecord& record = signed_record.record();
    if (record.token) {
      console.warn(fmt::format("{} has a token and no TPM: the file opens in any state of it.",
                               record.name));
      continue;
    }
    if (record.software) {
      console.warn(
          fmt::format("the TPM of {} is a software one: it protects nothing against root of "
                      "that host.",
                      record.name));
    }
    if (record.policy_anchor.all_zero()) {
      console.warn(fmt::format("all selected PCRs of {} are zero: its state was not measured.",
                               record.name));
    }
    if (policy.terms.empty()) {
      console.warn(fmt::format(
          "the policy demands nothing: every root process of {} opens the file in any state of it.",
          record.name));
    }
    if (!recovery && policy.has_pcr_values()) {
      console.warn(
          fmt::format("an update of the firmware or kernel of {} locks it out of this file; "
                      "add --to recovery.",
                      record.name));
    }
  }
}

Status Recipients::open(int passphrase_fd) {
  if (!passphrase_ && !have_pin()) return {};
  CKPTSEAL_ASSIGN(source_, PassphraseSource::open(passphrase_fd));
  return {};
}

RecipientFactory Recipients::factory(std::shared_ptr<RecoveryPaper> paper) const {
  return [this, paper = std::move(paper)]() -> Result<std::vector<std::unique_ptr<Recipient>>> {
    std::vector<std::unique_ptr<Recipient>> out;
    std::shared_ptr<const Secret> pin;
    if (have_pin() && source_) {
      CKPTSEAL_ASSIGN(Secret secret, source_->read("PIN", true));
      pin = std::make_shared<const Secret>(std::move(secret));
    }
    for (const auto& [signed_record, policy] : hosts_) {
      const HostRecord& record = signed_record.record();
      if (record.token) {
        CKPTSEAL_ASSIGN(PublicKey key, storage_key_of(record));
        out.push_back(std::make_unique<PublicKeyRecipient>(
            std::move(key), RecipientName{KeySource::token, {}, record.name}));
        continue;
      }
      out.push_back(std::make_unique<Tpm2Recipient>(record.storage_parent.public_area, policy,
                                                    signed_record.identity(),
                                                    policy.has_pin() ? pin : nullptr));
    }
    for (const NamedKey& key : keys_) out.push_back(key.recipient());
    for (const TokenUri& uri : tokens_) {
      CKPTSEAL_ASSIGN(PublicKeyRecipient recipient, token_recipient(uri, now_seconds()));
      out.push_back(std::make_unique<PublicKeyRecipient>(std::move(recipient)));
    }
    if (recovery_) {
      CKPTSEAL_ASSIGN(RecoveryKey key, RecoveryKey::generate());
      if (paper) CKPTSEAL_TRY(paper->write(key));
      out.push_back(std::make_unique<RecoveryRecipient>(std::move(key)));
    }
    if (passphrase_ && source_) {
      CKPTSEAL_ASSIGN(Secret secret, source_->read("Passphrase", true));
      out.push_back(std::make_unique<PassphraseRecipient>(std::move(secret),
                                                          recommended_cost(machine_memory())));
    }
    if (threshold_ == 1) return out;
    std::vector<std::unique_ptr<Recipient>> together;
    together.push_back(std::make_unique<ThresholdRecipient>(threshold_, std::move(out)));
    return together;
  };
}

std::vector<int> Recipients::descriptors() const {
  if (!source_) return {};
  return {source_->fd()};
}

Json Recipients::records() const {
  Json out = Json::array();
  const auto add = [&out](std::string name, Json identity, Json fingerprint) {
    out.push_back({{"name", std::move(name)},
                   {"identity", std::move(identity)},
                   {"fingerprint", std::move(fingerprint)}});
  };
  for (const auto& [record, policy] : hosts_) {
    add(record.record().name, to_hex(record.identity()), to_hex(record.fingerprint()));
  }
  for (const NamedKey& key : keys_) add(label_of(key.name.label), nullptr, to_hex(key.id()));
  for (const TokenUri& uri : tokens_) add(label_of(uri.name()), nullptr, nullptr);
  if (recovery_) add("recovery", nullptr, nullptr);
  if (passphrase_) add("passphrase", nullptr, nullptr);
  return out;
}

Json Recipients::names() const {
  Json names = Json::array();
  for (const Json& recipient : records()) names.push_back(recipient["name"]);
  return names;
}

}  // namespace ckptseal
