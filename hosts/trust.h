// SPDX-License-Identifier: Apache-2.0
//
// Whom this host trusts: records that it seals for (recipients) and records whose checkpoints it
// opens and restores (origins), each said separately. docs/state.md, "trusted/".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "hosts/host_record.h"
#include "hosts/trust_folder.h"

namespace ckptseal {

struct TrustRoles {
  bool recipient = false;
  bool origin = false;
};

struct OriginKey {
  EcPoint point;
  Seconds expires = 0;  // of the record that it stands in; 0: never

  bool holds_at(Seconds when) const { return expires == 0 || when < expires; }
};

// A host that is trusted as origin, and whose signature to expect from it.
struct TrustedOrigin {
  Digest identity{};
  std::string name;             // of its newest record
  std::vector<OriginKey> keys;  // of all its trusted records; any of them may have signed

  // Whether one of its records had not expired at `when`.
  bool is_trusted_at(Seconds when) const;
  // Whether a key of such a record made the signature.
  bool has_signed(const Digest& digest, const EcdsaSignature& signature, Seconds when) const;
};

// What one record says.
Result<TrustedOrigin> trusted_origin(const SignedHostRecord& record);
// Adds a record to what is trusted: its keys join those of the same host, which has the name of the
// record that was added last.
Status add_origin(std::vector<TrustedOrigin>& origins, const SignedHostRecord& record);

struct TrustRequest {
  TrustRoles roles;
  std::optional<Digest> pinned;  // the fingerprint that the record must have
  bool replace = false;          // drop another host of this name, or go back to an older record
  bool dry_run = false;
};

struct TrustChange {
  std::vector<std::string> written;  // paths; with dry_run those that would be
  std::vector<std::string> removed;
};

struct TrustEntry {
  std::string name;
  TrustRoles roles;
  bool own = false;                        // this host's own record
  bool expired = false;                    // then it is trusted for nothing new
  std::optional<SignedHostRecord> record;  // empty when the file is damaged or refused
  std::string problem;                     // then this says why, and the path
};

class TrustStore {
 public:
  // `folder` is STATE/trusted, which need not be there. `own` is this host's own record: recipient
  // `self`, and an origin.
  TrustStore(std::string folder, Seconds now, std::optional<SignedHostRecord> own = std::nullopt);

  // Code::untrusted: not the pinned fingerprint, expired, another host has that name (other
  // keys), or older than the record it would replace. Earlier records of the same host
  // stay trusted as origins, for their keys may have signed; as recipient the newest counts.
  Result<TrustChange> add(const SignedHostRecord& record, const TrustRequest& request);

  // `self`, the name of a trusted recipient, or a path: what contains '/' or ends with ".record".
  // To name a file is to trust it. Code::untrusted when there is none or it expired.
  Result<SignedHostRecord> find_recipient(const std::string& name_or_path) const;

  // Code::untrusted when no host with that identity is trusted as origin.
  Result<TrustedOrigin> find_origin(const Digest& identity) const;
  // One for each identity, with the keys of all its records: the expired ones too, for what it
  // sealed before. Damaged records are left out.
  Result<std::vector<TrustedOrigin>> origins() const;
  // Whether who trusts this host by an earlier record alone, one that held at `then`, cannot verify
  // what it signs now: that record has ended, or lacks a key of the present one.
  Result<bool> outgrown_since(Seconds then) const;

  Result<std::vector<TrustEntry>> list() const;

  // All records of the host `name` in these roles, or the one with `fingerprint`, damaged files
  // included. Code::failed when there is none.
  Result<TrustChange> remove(const std::string& name, const TrustRoles& roles,
                             const std::optional<Digest>& fingerprint, bool dry_run);

 private:
  struct Plan;
  Result<Plan> plan_add(const SignedHostRecord& record, const TrustRequest& request) const;
  Status check_acceptable(const SignedHostRecord& record, const TrustRequest& request) const;
  Result<SignedHostRecord> find_named(const std::string& name) const;
  Result<UniqueFd> lock() const;

  std::string folder_;
  Seconds now_;
  std::optional<SignedHostRecord> own_;
  TrustFolder recipients_;
  TrustFolder origins_;
};

}  // namespace ckptseal
