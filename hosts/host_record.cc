// SPDX-License-Identifier: Apache-2.0
//
// Verifies a record in the order of docs/host-record.md, "Reading", and signs one.
#include "hosts/host_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fd.h"
#include "base/pem.h"
#include "hosts/host_record_wire.h"
#include "policies/certification.h"

namespace ckptseal {
namespace {

constexpr const char* pem_label = "CKPT-SEAL HOST RECORD";
constexpr std::string_view signature_context = "ckpt-seal/v1/host-record";
constexpr std::string_view identity_context = "ckpt-seal/v1/host";

Digest signed_digest(ByteView body) {
  return Sha256().update(as_bytes(signature_context)).update(body).finish();
}

// `why` is a whole sentence of its own, from below.
Error within(const std::string& what, Error why) {
  why.message = fmt::format("{} is refused: {}", what, why.message);
  return why;
}

Status verify_signature(const HostRecord& record, const RecordEnvelope& envelope,
                        const std::string& what) {
  if (!record.token) {
    const TpmPublic& key = record.signing_keys.front().public_area;
    if (Status role = key.require(KeyRole::signing_key); !role.ok()) {
      return within(what, std::move(role).error());
    }
  }
  CKPTSEAL_ASSIGN(const std::vector<EcPoint> points, record.signing_points());
  // Nothing certifies the keys of a token, so its identity has to say itself what goes with it.
  const EcPoint& point = record.token ? points.back() : points.front();
  if (!verify_p256(point, signed_digest(envelope.body), envelope.signature)) {
    return Error{Code::integrity,
                 fmt::format("{} is refused: its signature does not fit, so it was altered; get it "
                             "again from its host.",
                             what),
                 0};
  }
  return {};
}

Status verify_certified(const HostRecord& record, const CertifiedKey& key, KeyRole role,
                        const std::string& what) {
  if (Status fits = key.public_area.require(role); !fits.ok()) {
    return within(what, std::move(fits).error());
  }
  Status certified =
      verify_certification(record.attestation_key, key.public_area, key.attest, key.signature);
  if (!certified.ok()) return within(what, std::move(certified).error());
  return {};
}

Status verify_keys(const HostRecord& record, const std::string& what) {
  if (record.token) return {};
  if (Status role = record.attestation_key.require(KeyRole::attestation_key); !role.ok()) {
    return within(what, std::move(role).error());
  }
  CKPTSEAL_TRY(verify_certified(record, record.storage_parent, KeyRole::storage_parent, what));
  for (const CertifiedKey& key : record.signing_keys) {
    CKPTSEAL_TRY(verify_certified(record, key, KeyRole::signing_key, what));
  }
  return {};
}

Error expired_error(const std::string& what) {
  return {
      Code::untrusted,
      fmt::format("{} has expired; have its host provisioned again and get the new record.", what),
      0};
}

}  // namespace

Result<std::vector<EcPoint>> HostRecord::signing_points() const {
  if (token) return token->signing_keys;
  std::vector<EcPoint> out;
  for (const CertifiedKey& key : signing_keys) {
    CKPTSEAL_ASSIGN(const EcPoint point, key.public_area.p256_point());
    out.push_back(point);
  }
  return out;
}

Digest host_identity(const HostRecord& record) {
  Sha256 hash;
  hash.update(as_bytes(identity_context));
  if (!record.token) return hash.update(record.attestation_key.marshalled()).finish();
  const EcPoint& key = record.token->signing_keys.back();
  return hash.update(ByteWriter().u8(4).bytes(key.x).bytes(key.y).view()).finish();
}

bool same_host(const HostRecord& a, const HostRecord& b) {
  return host_identity(a) == host_identity(b);
}

Result<SignedHostRecord> read_host_record_of_any_time(ByteView pem, const std::string& what) {
  if (pem.size() > largest_record_file) {
    return Error{Code::integrity,
                 fmt::format("{} is refused: it is longer than {} bytes, so it is no host record.",
                             what, largest_record_file),
                 0};
  }
  CKPTSEAL_ASSIGN(const Bytes content, pem_decode(pem_label, pem, what));
  CKPTSEAL_ASSIGN(const RecordEnvelope envelope, decode_envelope(content, what));
  SignedHostRecord out;
  CKPTSEAL_ASSIGN(out.record_, decode_record_body(envelope.body, what));
  CKPTSEAL_TRY(verify_signature(out.record_, envelope, what));
  CKPTSEAL_TRY(verify_keys(out.record_, what));
  out.fingerprint_ = Sha256::of(envelope.body);
  out.pem_ = std::string(as_text(pem));
  return out;
}

Result<SignedHostRecord> read_host_record(ByteView pem, Seconds now, const std::string& what) {
  CKPTSEAL_ASSIGN(SignedHostRecord out, read_host_record_of_any_time(pem, what));
  if (out.expired(now)) return expired_error(what);
  return out;
}

Result<SignedHostRecord> read_host_record_file(const std::string& path, Seconds now) {
  CKPTSEAL_ASSIGN(const Bytes pem,
                  read_file(path, largest_record_file, fmt::format("the host record {}", path)));
  return read_host_record(pem, now, fmt::format("The host record {}", path));
}

Result<SignedHostRecord> sign_host_record(const HostRecord& record, const DigestSigner& signer) {
  CKPTSEAL_TRY(check_host_name(record.name));
  CKPTSEAL_TRY(check_labels(record.labels));
  RecordEnvelope envelope;
  envelope.body = encode_record_body(record);
  CKPTSEAL_ASSIGN(envelope.signature, signer(signed_digest(envelope.body)));
  CKPTSEAL_ASSIGN(const std::string pem, pem_encode(pem_label, encode_envelope(envelope)));
  return read_host_record_of_any_time(as_bytes(pem), "The new host record");
}

Result<Digest> parse_fingerprint(std::string_view text) {
  const std::optional<Bytes> bytes = from_hex(text);
  Digest out{};
  if (!bytes.has_value() || bytes->size() != out.size()) {
    return Error{Code::usage,
                 "A fingerprint is 64 hexadecimal digits, as ckpt-seal host show prints it on the "
                 "host itself; give all of them.",
                 0};
  }
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

}  // namespace ckptseal
