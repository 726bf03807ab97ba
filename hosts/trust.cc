// SPDX-License-Identifier: Apache-2.0
//
// The rules by which records come into and go out of `trusted/`. Files are verified each time they
// are read: a record in the folder is no more believed than one that just arrived.
#include "hosts/trust.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "base/private_files.h"

namespace ckptseal {
namespace {

Error untrusted(std::string message) { return {Code::untrusted, std::move(message), 0}; }

Error expired_record(const SignedHostRecord& record) {
  return untrusted(
      fmt::format("The record of {} has expired; have that host provisioned again and "
                  "trust its new record.",
                  record.record().name));
}

bool is_path(const std::string& text) {
  return text.find('/') != std::string::npos || text.ends_with(".record");
}

// What stands under the name of a record that is to be added, and is not of the same host.
Status judge_other(const std::string& name, const Result<SignedHostRecord>& there, bool replace) {
  if (replace) return {};
  if (!there.ok()) return there.error();
  return untrusted(
      fmt::format("{} is already trusted as the name of another host, with other "
                  "keys; if that host was replaced, say so with --replace, "
                  "else somebody may be taking its place.",
                  name));
}

// What would be superseded as recipient.
Status judge_age(const SignedHostRecord& there, const SignedHostRecord& record, bool replace) {
  if (replace || there.record().created <= record.record().created) return {};
  return untrusted(
      fmt::format("This record of {} is older than the one that is trusted; get the "
                  "present one from the host, or go back to this one with --replace.",
                  record.record().name));
}

Status remove_all(const std::vector<TrustFile>& files, TrustChange& change, bool dry_run) {
  for (const TrustFile& file : files) {
    change.removed.push_back(file.path);
    if (dry_run) continue;
    CKPTSEAL_TRY(remove_file(file.path, fmt::format("the trusted record {}", file.path)));
  }
  return {};
}

// A key that stands in several records is tried once, and holds as long as one of them does.
void add_key(std::vector<OriginKey>& keys, const OriginKey& key) {
  const auto known = std::find_if(keys.begin(), keys.end(),
                                  [&](const OriginKey& other) { return other.point == key.point; });
  if (known == keys.end()) {
    keys.push_back(key);
  } else if (known->expires != 0 && (key.expires == 0 || key.expires > known->expires)) {
    known->expires = key.expires;
  }
}

}  // namespace

Result<TrustedOrigin> trusted_origin(const SignedHostRecord& record) {
  CKPTSEAL_ASSIGN(std::vector<EcPoint> keys, record.record().signing_points());
  TrustedOrigin out{record.identity(), record.record().name, {}};
  for (const EcPoint& key : keys) out.keys.push_back({key, record.record().expires});
  return out;
}

bool TrustedOrigin::is_trusted_at(Seconds when) const {
  return std::any_of(keys.begin(), keys.end(),
                     [&](const OriginKey& key) { return key.holds_at(when); });
}

bool TrustedOrigin::has_signed(const Digest& digest, const EcdsaSignature& signature,
                               Seconds when) const {
  return std::any_of(keys.begin(), keys.end(), [&](const OriginKey& key) {
    return key.holds_at(when) && verify_p256(key.point, digest, signature);
  });
}

Status add_origin(std::vector<TrustedOrigin>& origins, const SignedHostRecord& record) {
  CKPTSEAL_ASSIGN(TrustedOrigin more, trusted_origin(record));
  const auto known = std::find_if(origins.begin(), origins.end(), [&](const TrustedOrigin& origin) {
    return origin.identity == more.identity;
  });
  if (known == origins.end()) {
    origins.push_back(std::move(more));
    return {};
  }
  known->name = std::move(more.name);
  for (const OriginKey& key : more.keys) add_key(known->keys, key);
  return {};
}

// What add() does, in this order: a crash leaves less trust than asked for, never more.
struct TrustStore::Plan {
  std::vector<TrustFile> others;  // another host's, or unreadable: removed first
  std::vector<const TrustFolder*> targets;
  std::vector<TrustFile> superseded;  // older recipient records of this host: removed last
};

TrustStore::TrustStore(std::string folder, Seconds now, std::optional<SignedHostRecord> own)
    : folder_(std::move(folder)),
      now_(now),
      own_(std::move(own)),
      recipients_(folder_ + "/recipient"),
      origins_(folder_ + "/origin") {}

Result<UniqueFd> TrustStore::lock() const {
  const std::string what = fmt::format("the folder of trusted records {}", folder_);
  CKPTSEAL_ASSIGN(UniqueFd folder, make_private_folder(folder_, Guard::no_writing, what));
  while (flock(folder.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error(fmt::format("Cannot lock {}", what), errno);
  }
  return folder;
}

Status TrustStore::check_acceptable(const SignedHostRecord& record,
                                    const TrustRequest& request) const {
  const std::string& name = record.record().name;
  if (!request.roles.recipient && !request.roles.origin) {
    return Error{Code::usage,
                 "It is not said what the host is trusted as: say recipient, origin or both.", 0};
  }
  if (request.pinned.has_value() && *request.pinned != record.fingerprint()) {
    return untrusted(
        fmt::format("The record of {} has the fingerprint {}, not the one that was "
                    "asked for; get the right record from the host itself.",
                    name, to_hex(record.fingerprint())));
  }
  if (record.expired(now_)) return expired_record(record);
  if (own_.has_value() && own_->record().name == name &&
      !same_host(own_->record(), record.record())) {
    return untrusted(
        fmt::format("Another host cannot be trusted under {}, the name of this host; "
                    "provision one of them again with another name.",
                    name));
  }
  return {};
}

Result<TrustStore::Plan> TrustStore::plan_add(const SignedHostRecord& record,
                                              const TrustRequest& request) const {
  Plan plan;
  if (request.roles.recipient) plan.targets.push_back(&recipients_);
  if (request.roles.origin) plan.targets.push_back(&origins_);
  for (const TrustFolder* folder : {&recipients_, &origins_}) {
    CKPTSEAL_ASSIGN(const std::vector<TrustFile> files, folder->files_of(record.record().name));
    for (const TrustFile& file : files) {
      const Result<SignedHostRecord> there = TrustFolder::load(file);
      if (!there.ok() || !same_host(there.value().record(), record.record())) {
        CKPTSEAL_TRY(judge_other(file.name, there, request.replace));
        plan.others.push_back(file);
      } else if (folder == &recipients_ && request.roles.recipient &&
                 there.value().fingerprint() != record.fingerprint()) {
        CKPTSEAL_TRY(judge_age(there.value(), record, request.replace));
        plan.superseded.push_back(file);
      }
    }
  }
  return plan;
}

Result<TrustChange> TrustStore::add(const SignedHostRecord& record, const TrustRequest& request) {
  CKPTSEAL_TRY(check_acceptable(record, request));
  UniqueFd locked;
  if (!request.dry_run) {
    CKPTSEAL_ASSIGN(locked, lock());
  }
  CKPTSEAL_ASSIGN(const Plan plan, plan_add(record, request));
  TrustChange change;
  CKPTSEAL_TRY(remove_all(plan.others, change, request.dry_run));
  for (const TrustFolder* folder : plan.targets) {
    if (!request.dry_run) CKPTSEAL_TRY(folder->write(record));
    change.written.push_back(folder->path_for(record));
  }
  CKPTSEAL_TRY(remove_all(plan.superseded, change, request.dry_run));
  return change;
}

Result<SignedHostRecord> TrustStore::find_recipient(const std::string& name_or_path) const {
  if (name_or_path == "self") {
    if (!own_.has_value()) {
      return Error{Code::failed,
                   "This host has no record of its own, so nothing can be sealed for self; run "
                   "ckpt-seal provision first.",
                   0};
    }
    if (own_->expired(now_)) {
      return untrusted("This host's own record has expired; run ckpt-seal provision again.");
    }
    return *own_;
  }
  if (is_path(name_or_path)) return read_host_record_file(name_or_path, now_);
  CKPTSEAL_TRY(check_host_name(name_or_path));
  return find_named(name_or_path);
}

Result<SignedHostRecord> TrustStore::find_named(const std::string& name) const {
  CKPTSEAL_ASSIGN(const std::vector<TrustFile> files, recipients_.files_of(name));
  std::optional<SignedHostRecord> newest;
  for (const TrustFile& file : files) {
    CKPTSEAL_ASSIGN(SignedHostRecord record, TrustFolder::load(file));
    if (newest.has_value() && !same_host(newest->record(), record.record())) {
      return untrusted(
          fmt::format("Two hosts are trusted under the name {}; remove the wrong one "
                      "with ckpt-seal host trust --remove.",
                      name));
    }
    if (!newest.has_value() || newest->record().created <= record.record().created) {
      newest = std::move(record);
    }
  }
  if (newest.has_value()) {
    if (newest->expired(now_)) return expired_record(*newest);
    return *std::move(newest);
  }
  if (own_.has_value() && own_->record().name == name) {
    return untrusted(fmt::format("{} is this host; to seal for it write self.", name));
  }
  CKPTSEAL_ASSIGN(const std::vector<TrustFile> as_origin, origins_.files_of(name));
  if (!as_origin.empty()) {
    return untrusted(
        fmt::format("{} is trusted as an origin, not as a recipient; trust its record "
                    "as recipient with ckpt-seal host trust.",
                    name));
  }
  return untrusted(
      fmt::format("No trusted recipient has the name {}; trust its record with "
                  "ckpt-seal host trust, or name the record's file as ./FILE.",
                  name));
}

Result<TrustedOrigin> TrustStore::find_origin(const Digest& identity) const {
  CKPTSEAL_ASSIGN(const std::vector<TrustedOrigin> all, origins());
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const TrustedOrigin& one) { return one.identity == identity; });
  if (found != all.end()) return *found;
  return untrusted(
      fmt::format("No trusted origin has the identity {}; if you know which host that is, trust "
                  "its record as origin with ckpt-seal host trust.",
                  to_hex(identity)));
}

Result<std::vector<TrustedOrigin>> TrustStore::origins() const {
  CKPTSEAL_ASSIGN(std::vector<TrustEntry> entries, list());
  std::erase_if(entries, [](const TrustEntry& entry) {
    return !entry.record.has_value() || !entry.roles.origin;
  });
  // The newest last, for it says the name.
  std::stable_sort(entries.begin(), entries.end(), [](const TrustEntry& a, const TrustEntry& b) {
    return a.record->record().created < b.record->record().created;
  });
  std::vector<TrustedOrigin> out;
  for (const TrustEntry& entry : entries) CKPTSEAL_TRY(add_origin(out, *entry.record));
  return out;
}

Result<bool> TrustStore::outgrown_since(Seconds then) const {
  if (!own_) return false;
  CKPTSEAL_ASSIGN(const TrustedOrigin now, trusted_origin(*own_));
  CKPTSEAL_ASSIGN(const std::vector<TrustEntry> entries, list());
  for (const TrustEntry& entry : entries) {
    if (!entry.record || entry.own || entry.record->identity() != now.identity) continue;
    CKPTSEAL_ASSIGN(const TrustedOrigin earlier, trusted_origin(*entry.record));
    if (entry.record->record().created > then || !earlier.is_trusted_at(then)) continue;
    const bool has_all = std::all_of(now.keys.begin(), now.keys.end(), [&](const OriginKey& key) {
      return std::any_of(earlier.keys.begin(), earlier.keys.end(),
                         [&](const OriginKey& other) { return other.point == key.point; });
    });
    if (!has_all || !earlier.is_trusted_at(now_)) return true;
  }
  return false;
}

Result<std::vector<TrustEntry>> TrustStore::list() const {
  std::vector<TrustEntry> out;
  if (own_.has_value()) {
    out.push_back({own_->record().name, {true, true}, true, own_->expired(now_), own_, ""});
  }
  for (const TrustFolder* folder : {&recipients_, &origins_}) {
    const TrustRoles roles{folder == &recipients_, folder == &origins_};
    CKPTSEAL_ASSIGN(const std::vector<TrustFile> files, folder->files());
    for (const TrustFile& file : files) {
      Result<SignedHostRecord> record = TrustFolder::load(file);
      if (!record.ok()) {
        out.push_back({file.name, roles, false, false, std::nullopt, record.error().message});
        continue;
      }
      const auto known = std::find_if(out.begin(), out.end(), [&](const TrustEntry& entry) {
        return entry.record.has_value() &&
               entry.record->fingerprint() == record.value().fingerprint();
      });
      if (known != out.end()) {
        known->roles.recipient |= roles.recipient;
        known->roles.origin |= roles.origin;
        continue;
      }
      const bool expired = record.value().expired(now_);
      out.push_back({file.name, roles, false, expired, std::move(record).value(), ""});
    }
  }
  return out;
}

Result<TrustChange> TrustStore::remove(const std::string& name, const TrustRoles& roles,
                                       const std::optional<Digest>& fingerprint, bool dry_run) {
  UniqueFd locked;
  if (!dry_run) {
    CKPTSEAL_ASSIGN(locked, lock());
  }
  std::vector<TrustFile> chosen;
  for (const TrustFolder* folder : {&recipients_, &origins_}) {
    if (!(folder == &recipients_ ? roles.recipient : roles.origin)) continue;
    CKPTSEAL_ASSIGN(const std::vector<TrustFile> files, folder->files_of(name));
    std::copy_if(files.begin(), files.end(), std::back_inserter(chosen), [&](const TrustFile& f) {
      return !fingerprint.has_value() || to_hex(*fingerprint).starts_with(f.fingerprint_start);
    });
  }
  if (chosen.empty()) {
    return Error{Code::failed,
                 fmt::format("Nothing of that kind is trusted under the name {}; ckpt-seal host "
                             "list shows what is.",
                             name),
                 0};
  }
  TrustChange change;
  CKPTSEAL_TRY(remove_all(chosen, change, dry_run));
  return change;
}

}  // namespace ckptseal
