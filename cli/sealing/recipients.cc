// SPDX-License-Identifier: Apache-2.0
//
// From names to host records, passphrases, and the slots that are theirs.
#include "cli/sealing/recipients.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/fd.h"
#include "keymgr/passphrase/passphrase.h"
#include "keymgr/pkcs11/token_key.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/shares.h"
#include "keymgr/threshold/threshold.h"
#include "keymgr/tpm2/slot.h"
#include "policies/policy_document.h"

namespace ckptseal {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// What the trust store takes for the path of a record, and usual names of keys.
bool names_file(const std::string& name) {
  constexpr std::string_view endings[] = {".record", ".pem", ".crt", ".cer", ".der", ".pub"};
  return name.find('/') != std::string::npos ||
         std::any_of(std::begin(endings), std::end(endings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

struct NamedKey {
  PublicKey key;
  RecipientName name;
};

constexpr std::size_t largest_file = 1 << 20;
constexpr std::size_t largest_list = 64 << 20;  // of what an authority has revoked in years

Result<std::optional<NamedKey>> read_named_certificate(ByteView file, const std::string& path,
                                                       const ChainInputs* chain) {
  const std::string what = fmt::format("The certificate {}", path);
  CKPTSEAL_ASSIGN(Certificate certificate, read_certificate(file, now_seconds(), what));
  if (chain != nullptr) CKPTSEAL_TRY(check_chain(certificate, *chain, now_seconds(), what));
  RecipientName name = certificate.name();
  return std::optional<NamedKey>(NamedKey{std::move(certificate.key), std::move(name)});
}

Error nobody_vouches(const std::string& name) {
  return {Code::usage,
          fmt::format("{} is a key for which no issuer vouches, as --ca demands: name a file with "
                      "its certificate, or leave --ca out.",
                      name),
          0};
}

// By what stands in it: PEM says what it is; other bytes are taken for a certificate in DER.
// nullopt for any other PEM, which may be a host record. Nobody has to vouch without `chain`.
Result<std::optional<NamedKey>> read_key_file(const std::string& path, const ChainInputs* chain) {
  CKPTSEAL_ASSIGN(const Bytes file, read_file(path, largest_file, path));
  const std::string_view text = as_text(file);
  const auto has = [&](std::string_view words) {
    return text.find(words) != std::string_view::npos;
  };
  if (has("-----BEGIN CERTIFICATE-----")) return read_named_certificate(file, path, chain);
  if (has("-----BEGIN PUBLIC KEY-----")) {
    if (chain != nullptr) return nobody_vouches(path);
    CKPTSEAL_ASSIGN(PublicKey key,
                    PublicKey::from_file(file, fmt::format("The public key {}", path)));
    RecipientName name{KeySource::public_key, {}, path.substr(path.rfind('/') + 1)};
    return std::optional<NamedKey>(NamedKey{std::move(key), std::move(name)});
  }
  if (has("-----BEGIN ") || path.ends_with(".record")) return std::optional<NamedKey>();
  return read_named_certificate(file, path, chain);
}

bool is_fingerprint(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

SlotRemoval slots_of_kind(std::string name, SlotKind kind) {
  return {std::move(name), [kind](std::size_t, const SlotBody& slot) -> Result<bool> {
            return slot.kind == static_cast<std::uint16_t>(kind);
          }};
}

// Of the host record with that fingerprint, or the key with that id.
SlotRemoval slots_of(std::string name, const Digest& digest) {
  return {std::move(name), [digest](std::size_t, const SlotBody& slot) -> Result<bool> {
            if (slot.kind == static_cast<std::uint16_t>(SlotKind::public_key)) {
              return key_id_of(slot.bytes) == digest;
            }
            if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return false;
            return Tpm2Slot::recipient_of(slot.bytes) == digest;
          }};
}

// Into memory that is wiped, from there to whom it is for, and nowhere else.
Status print_recovery_key(const RecoveryKey& key, int fd) {
  CKPTSEAL_ASSIGN(const Secret text, recovery_text(key.key));
  CKPTSEAL_TRY(write_full(fd, as_bytes(fmt::format("recovery id  {}\n", to_hex(key.id)))));
  CKPTSEAL_TRY(write_full(fd, text.view()));
  return write_full(fd, as_bytes("\n"));
}

Result<Bytes> read_all_pem(const std::vector<std::string>& paths) {
  Bytes out;
  for (const std::string& path : paths) {
    CKPTSEAL_ASSIGN(const Bytes file, read_file(path, largest_list, path));
    out.insert(out.end(), file.begin(), file.end());
    out.push_back('\n');  // the next one's first line is a line
  }
  return out;
}

// All authorities of --ca go among the anchors: a chain ends only at one that has signed itself, so
// those between are trusted for nothing by themselves.
Result<std::optional<ChainInputs>> chain_of(const IssuerOptions& issuers) {
  if (issuers.ca.empty() && issuers.crl.empty()) return std::optional<ChainInputs>();
  if (issuers.ca.empty()) {
    return Error{Code::usage,
                 "--crl says what the issuers of certificates have revoked; name these with --ca "
                 "as well.",
                 0};
  }
  ChainInputs out;
  CKPTSEAL_ASSIGN(out.anchors, read_all_pem(issuers.ca));
  if (!issuers.crl.empty()) {
    CKPTSEAL_ASSIGN(out.crls, read_all_pem(issuers.crl));
  }
  return std::optional<ChainInputs>(std::move(out));
}

}  // namespace

namespace {

// Nothing verifies with a key that is none, so nobody would open what is sealed under it.
Status check_authorities(const Policy& policy, const std::string& what) {
  for (const PolicyTerm& term : policy.terms) {
    if (const auto* any = std::get_if<AnyTerm>(&term)) {
      for (const Policy& branch : any->branches) CKPTSEAL_TRY(check_authorities(branch, what));
    }
    const auto* approvals = std::get_if<ApprovalTerm>(&term);
    const auto* online = std::get_if<OnlineTerm>(&term);
    if (approvals == nullptr && online == nullptr) continue;
    const EcPoint& key = approvals != nullptr ? approvals->key : online->key;
    ByteWriter point;
    point.u8(0x04).bytes(key.x).bytes(key.y);
    if (PublicKey::from_point(KeyAlgorithm::ecdh_p256, point.view(), what).ok()) continue;
    return Error{Code::usage,
                 fmt::format("{} is refused: the public_key of its {} is no key of P-256; take it "
                             "from the file that 'ckpt-seal authority init' wrote.",
                             what, approvals != nullptr ? "approvals" : "online approval"),
                 0};
  }
  return {};
}

}  // namespace

Result<PolicyDocument> read_policy_file(const std::string& path) {
  constexpr std::size_t largest = 65536;
  CKPTSEAL_ASSIGN(const Bytes text, read_file(path, largest, fmt::format("the policy {}", path)));
  const std::string what = fmt::format("The policy {}", path);
  CKPTSEAL_ASSIGN(PolicyDocument document, parse_policy_document(as_text(text), what));
  CKPTSEAL_TRY(check_authorities(document.policy, what));
  return document;
}

Result<Policy> read_unlimited_policy_file(const std::string& path) {
  CKPTSEAL_ASSIGN(PolicyDocument document, read_policy_file(path));
  if (document.limits == UseLimits{}) return std::move(document.policy);
  return Error{
      Code::usage,
      fmt::format("The policy {} has a limit ({}), and limits are set when a checkpoint is "
                  "sealed: take it out of the file, and give --restores or --not-after "
                  "to seal or dump.",
                  path, fmt::join(limit_words(document.limits), ", ")),
      0};
}

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
  const bool twice = std::any_of(keys_.begin(), keys_.end(), [&](const Key& other) {
    return other.key.id() == found->key.id();
  });
  if (!twice) keys_.push_back({std::move(found->key), std::move(found->name)});
  return true;
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

RecipientFactory Recipients::factory(int recovery_fd) const {
  return [this, recovery_fd]() -> Result<std::vector<std::unique_ptr<Recipient>>> {
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
                                                    signed_record.fingerprint(),
                                                    policy.has_pin() ? pin : nullptr));
    }
    for (const Key& key : keys_) {
      out.push_back(std::make_unique<PublicKeyRecipient>(key.key, key.name));
    }
    for (const TokenUri& uri : tokens_) {
      CKPTSEAL_ASSIGN(PublicKeyRecipient recipient, token_recipient(uri, now_seconds()));
      out.push_back(std::make_unique<PublicKeyRecipient>(std::move(recipient)));
    }
    if (recovery_) {
      CKPTSEAL_ASSIGN(RecoveryKey key, RecoveryKey::generate());
      if (recovery_fd >= 0) CKPTSEAL_TRY(print_recovery_key(key, recovery_fd));
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
  for (const auto& [record, policy] : hosts_) {
    out.push_back({{"name", record.record().name}, {"fingerprint", to_hex(record.fingerprint())}});
  }
  for (const Key& key : keys_) {
    out.push_back({{"name", label_of(key.name.label)}, {"fingerprint", to_hex(key.key.id())}});
  }
  for (const TokenUri& uri : tokens_) {
    out.push_back({{"name", label_of(uri.name())}, {"fingerprint", nullptr}});
  }
  if (recovery_) out.push_back({{"name", "recovery"}, {"fingerprint", nullptr}});
  if (passphrase_) out.push_back({{"name", "passphrase"}, {"fingerprint", nullptr}});
  return out;
}

Json Recipients::names() const {
  Json names = Json::array();
  for (const Json& recipient : records()) names.push_back(recipient["name"]);
  return names;
}

namespace {

// The key is read from its token, in the helper, when the first slot is looked at.
Result<SlotRemoval> slots_of_token(const std::string& name) {
  CKPTSEAL_ASSIGN(TokenUri uri, TokenUri::parse(name));
  std::string shown = uri.name();
  auto found = std::make_shared<std::optional<KeyId>>();
  return SlotRemoval{
      std::move(shown),
      [uri = std::move(uri), found](std::size_t, const SlotBody& slot) -> Result<bool> {
        if (!*found) {
          CKPTSEAL_ASSIGN(*found, token_key_id(uri));
        }
        return slot.kind == static_cast<std::uint16_t>(SlotKind::public_key) &&
               key_id_of(slot.bytes) == **found;
      }};
}

}  // namespace

Result<SlotRemoval> slots_named(const HostAccess& host, const std::string& name) {
  if (name == "passphrase") return slots_of_kind(name, SlotKind::passphrase);
  if (name == "recovery") return slots_of_kind(name, SlotKind::recovery);
  if (is_number(name)) {
    std::size_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    return SlotRemoval{name, [number](std::size_t index, const SlotBody&) -> Result<bool> {
                         return index == number;
                       }};
  }
  if (TokenUri::looks_like_one(name)) return slots_of_token(name);
  if (is_fingerprint(name)) {
    CKPTSEAL_ASSIGN(const Digest digest, parse_fingerprint(name));
    return slots_of(name, digest);
  }
  if (names_file(name)) {
    CKPTSEAL_ASSIGN(const std::optional<NamedKey> key, read_key_file(name, nullptr));
    if (key) return slots_of(name, key->key.id());
  }
  if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const SignedHostRecord record, host.trust_store().find_recipient(name));
  if (record.record().token) {
    CKPTSEAL_ASSIGN(const PublicKey key, storage_key_of(record.record()));
    return slots_of(name, key.id());
  }
  return slots_of(name, record.fingerprint());
}

}  // namespace ckptseal
