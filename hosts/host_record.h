// SPDX-License-Identifier: Apache-2.0
//
// The host record: a host's signed statement about itself, which whoever seals for it or opens what
// it sealed goes by. docs/host-record.md is its specification.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"
#include "hosts/names.h"
#include "policies/pcr.h"
#include "policies/policy_document.h"
#include "policies/tpm_public.h"

namespace ckptseal {

// Times are seconds since 1970-01-01 UTC.
using Seconds = std::uint64_t;

// A key of the host's TPM and TPM2_Certify of it by the attestation key.
struct CertifiedKey {
  TpmPublic public_area;
  Bytes attest;  // TPMS_ATTEST
  EcdsaSignature signature{};
};

// The keys of a host that has a PKCS #11 token and no TPM. Nothing certifies them.
struct TokenKeys {
  EcPoint storage_key;
  // 1 to 8; the first signs today, the last signs the record: it is the host's identity.
  std::vector<EcPoint> signing_keys;
  bool operator==(const TokenKeys&) const = default;
};

struct HostRecord {
  std::string name;
  Seconds created = 0;
  Seconds expires = 0;             // 0: never
  std::optional<TokenKeys> token;  // with one, all from here to `epoch` and the anchor are empty
  Bytes ek_certificate;            // DER; empty when the TPM has none
  Bytes ek_public;                 // TPMT_PUBLIC. Proves nothing in version 1: the spec, "The keys"
  TpmPublic attestation_key;
  CertifiedKey storage_parent;
  std::vector<CertifiedKey> signing_keys;  // 1 to 8; the first signs today
  std::uint32_t epoch_index = 0;           // NV
  std::uint64_t epoch = 0;
  Labels labels;
  PcrValues policy_anchor;
  std::optional<Policy> policy;  // what slots for it bind to in place of the anchor's PCRs alone
  // A software TPM: protects nothing against root of that host. A token that may be software.
  bool software = false;
  std::string manufacturer;

  // What a slot for this host binds to, unless whoever seals says otherwise. Not of a host with a
  // token.
  Policy release_policy() const { return policy ? *policy : Policy{{PcrTerm{policy_anchor}}}; }
  // What fills in a policy that was left open.
  PolicyState policy_state() const { return {policy_anchor, {epoch_index, epoch}}; }
  // As many as there are, the first signs today. Code::integrity for a key that is none.
  Result<std::vector<EcPoint>> signing_points() const;
};

// What stays when a host makes its record anew, and what sealed files name it by: a hash of its
// attestation key, or of the last signing key in its token. docs/host-record.md, "Host identity".
Digest host_identity(const HostRecord& record);
// Whether they have one identity.
bool same_host(const HostRecord& a, const HostRecord& b);

// A record that has been read and found right in all but, perhaps, its time. There is no other way
// to get one than the functions below. It does not say which host it is: see hosts/trust.h.
class SignedHostRecord {
 public:
  const HostRecord& record() const { return record_; }
  const Digest& fingerprint() const { return fingerprint_; }  // SHA-256(body)
  Digest identity() const { return host_identity(record_); }
  const std::string& pem() const { return pem_; }  // as received
  bool expired(Seconds now) const { return record_.expires != 0 && now >= record_.expires; }

 private:
  friend Result<SignedHostRecord> read_host_record_of_any_time(ByteView pem,
                                                               const std::string& what);
  SignedHostRecord() = default;

  HostRecord record_;
  Digest fingerprint_{};
  std::string pem_;
};

inline constexpr std::size_t largest_record_file = 98304;

// Reads and verifies everything. `what` names the record in errors: "The host record b.record".
// Code::integrity: damaged, altered or not a record; Code::untrusted: its keys are not certified,
// or it has expired.
Result<SignedHostRecord> read_host_record(ByteView pem, Seconds now, const std::string& what);
// The same without the time, for lists: what has expired must not be trusted.
Result<SignedHostRecord> read_host_record_of_any_time(ByteView pem, const std::string& what);
// The file at `path`. Code::failed when it cannot be read.
Result<SignedHostRecord> read_host_record_file(const std::string& path, Seconds now);

// Makes, signs (by its first signing key; of a host with a token by the last) and reads back a
// record: what comes out is right, or it is an error. Code::usage when the name or a label cannot
// be.
Result<SignedHostRecord> sign_host_record(const HostRecord& record, const DigestSigner& signer);

// 64 hexadecimal digits. Code::usage for anything else.
Result<Digest> parse_fingerprint(std::string_view text);

}  // namespace ckptseal
