// SPDX-License-Identifier: Apache-2.0
//
// From names to host records, passphrases, and the slots that are theirs.
#include "cli/recipients.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "keymgr/passphrase/passphrase.h"
#include "keymgr/tpm2/slot.h"

namespace ckptseal {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_fingerprint(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

SlotRemoval slots_of_host(std::string name, const Digest& record) {
  return {std::move(name), [record](std::size_t, const SlotBody& slot) {
            if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return false;
            const Result<Tpm2Slot> parsed = Tpm2Slot::parse(slot.bytes);
            return parsed.ok() && parsed.value().recipient == record;
          }};
}

}  // namespace

Result<Recipients> Recipients::find(const HostAccess& host, const std::vector<std::string>& names) {
  Recipients out;
  const TrustStore store = host.trust_store();
  for (const std::string& name : names) {
    if (name == "passphrase") {
      out.passphrase_wanted_ = true;
      continue;
    }
    if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
    CKPTSEAL_ASSIGN(SignedHostRecord record, store.find_recipient(name));
    const bool twice = std::any_of(
        out.records_.begin(), out.records_.end(),
        [&](const SignedHostRecord& other) { return other.fingerprint() == record.fingerprint(); });
    if (!twice) out.records_.push_back(std::move(record));
  }
  return out;
}

void Recipients::warn(Console& console, bool recovery) const {
  for (const SignedHostRecord& signed_record : records_) {
    const HostRecord& record = signed_record.record();
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
    if (!recovery) {
      console.warn(
          fmt::format("an update of the firmware or kernel of {} locks it out of this file; "
                      "add --to passphrase for recovery.",
                      record.name));
    }
  }
}

Status Recipients::open(int passphrase_fd) {
  if (!passphrase_wanted_) return {};
  CKPTSEAL_ASSIGN(passphrase_, PassphraseSource::open(passphrase_fd));
  return {};
}

RecipientFactory Recipients::factory() const {
  return [this]() -> Result<std::vector<std::unique_ptr<Recipient>>> {
    std::vector<std::unique_ptr<Recipient>> out;
    for (const SignedHostRecord& signed_record : records_) {
      const HostRecord& record = signed_record.record();
      out.push_back(std::make_unique<Tpm2Recipient>(
          record.storage_parent.public_area, record.policy_anchor, signed_record.fingerprint()));
    }
    if (passphrase_) {
      CKPTSEAL_ASSIGN(Secret secret, passphrase_->read(true));
      out.push_back(std::make_unique<PassphraseRecipient>(std::move(secret),
                                                          recommended_cost(machine_memory())));
    }
    return out;
  };
}

std::vector<int> Recipients::descriptors() const {
  if (!passphrase_) return {};
  return {passphrase_->fd()};
}

Json Recipients::names() const {
  Json names = Json::array();
  for (const SignedHostRecord& record : records_) names.push_back(record.record().name);
  if (passphrase_wanted_) names.push_back("passphrase");
  return names;
}

Json Recipients::records() const {
  Json out = Json::array();
  for (const SignedHostRecord& record : records_) {
    out.push_back({{"name", record.record().name}, {"fingerprint", to_hex(record.fingerprint())}});
  }
  if (passphrase_wanted_) out.push_back({{"name", "passphrase"}, {"fingerprint", nullptr}});
  return out;
}

Result<SlotRemoval> slots_named(const HostAccess& host, const std::string& name) {
  if (name == "passphrase") {
    return SlotRemoval{name, [](std::size_t, const SlotBody& slot) {
                         return slot.kind == static_cast<std::uint16_t>(SlotKind::passphrase);
                       }};
  }
  if (is_number(name)) {
    std::size_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    return SlotRemoval{name,
                       [number](std::size_t index, const SlotBody&) { return index == number; }};
  }
  if (is_fingerprint(name)) {
    CKPTSEAL_ASSIGN(const Digest record, parse_fingerprint(name));
    return slots_of_host(name, record);
  }
  if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const SignedHostRecord record, host.trust_store().find_recipient(name));
  return slots_of_host(name, record.fingerprint());
}

}  // namespace ckptseal
