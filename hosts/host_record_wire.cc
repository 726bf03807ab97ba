// SPDX-License-Identifier: Apache-2.0
//
// The parser reads leniently, checks each rule, and then encodes what it has understood: only if
// that gives the same bytes was it the one encoding. That alone refuses unknown fields, repeated
// ones, other orders, explicit zeros and long varints.
#include "hosts/host_record_wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "proto/host_record.pb.h"

namespace ckptseal {
namespace {

constexpr std::uint32_t tpm_version = 1;
constexpr std::uint32_t token_version = 2;
constexpr std::uint32_t policy_version = 3;  // of a TPM, with a policy
constexpr std::size_t largest_body = 65536;
constexpr std::size_t largest_certificate = 8192;
constexpr std::size_t largest_attest = 1024;
constexpr std::size_t longest_tpm_manufacturer = 16;
constexpr std::size_t longest_token_manufacturer = 32;
constexpr int most_signing_keys = 8;

Error broken(const std::string& what, std::string_view why) {
  return {Code::integrity, fmt::format("{} is refused: {}; get it again from its host.", what, why),
          0};
}

Bytes bytes_of(const std::string& text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

std::string string_of(ByteView bytes) { return std::string(as_text(bytes)); }

Bytes serialize(const google::protobuf::MessageLite& message) {
  return bytes_of(message.SerializeAsString());
}

bool parse(google::protobuf::MessageLite& message, ByteView bytes) {
  return bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

void encode_key(const CertifiedKey& key, proto::CertifiedKey& out) {
  out.set_public_area(string_of(key.public_area.marshalled()));
  out.set_attest(string_of(key.attest));
  out.set_signature(string_of(key.signature));
}

Result<TpmPublic> decode_public(const std::string& bytes, std::string_view which,
                                const std::string& what) {
  Result<TpmPublic> area = TpmPublic::parse(as_bytes(bytes));
  if (!area.ok()) {
    return broken(what, fmt::format("its {} is not the public area of a TPM object", which));
  }
  return area;
}

bool decode_signature(const std::string& bytes, EcdsaSignature& out) {
  if (bytes.size() != out.size()) return false;
  std::copy_n(as_bytes(bytes).begin(), out.size(), out.begin());
  return true;
}

Result<CertifiedKey> decode_key(const proto::CertifiedKey& in, std::string_view which,
                                const std::string& what) {
  CertifiedKey out;
  CKPTSEAL_ASSIGN(out.public_area, decode_public(in.public_area(), which, what));
  if (in.attest().empty() || in.attest().size() > largest_attest ||
      !decode_signature(in.signature(), out.signature)) {
    return broken(what, fmt::format("the certification of its {} has a wrong length", which));
  }
  out.attest = bytes_of(in.attest());
  return out;
}

Status check_number_of_signing_keys(int number, const std::string& what) {
  if (number >= 1 && number <= most_signing_keys) return {};
  return broken(
      what, fmt::format("it has {} signing keys instead of 1 to {}", number, most_signing_keys));
}

// 04 || x || y. Whether it is on the curve is for who uses it.
bool decode_point(const std::string& bytes, EcPoint& out) {
  ByteReader in(as_bytes(bytes));
  const bool uncompressed = in.u8() == 0x04;
  out.x = in.array<32>();
  out.y = in.array<32>();
  return uncompressed && in.at_end();
}

std::string encode_point(const EcPoint& point) {
  return string_of(ByteWriter().u8(0x04).bytes(point.x).bytes(point.y).view());
}

void encode_token(const TokenKeys& keys, proto::TokenKeys& out) {
  out.set_storage_key(encode_point(keys.storage_key));
  for (const EcPoint& key : keys.signing_keys) out.add_signing_keys(encode_point(key));
}

Status decode_token(const proto::HostRecord& in, HostRecord& out, const std::string& what) {
  TokenKeys& keys = out.token.emplace();
  if (!decode_point(in.token().storage_key(), keys.storage_key)) {
    return broken(what, "its storage key is not a point of P-256");
  }
  CKPTSEAL_TRY(check_number_of_signing_keys(in.token().signing_keys_size(), what));
  std::vector<EcPoint> seen = {keys.storage_key};
  for (const std::string& bytes : in.token().signing_keys()) {
    EcPoint key;
    if (!decode_point(bytes, key)) return broken(what, "a signing key is not a point of P-256");
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      return broken(what, "it has one key twice");
    }
    seen.push_back(key);
    keys.signing_keys.push_back(key);
  }
  return {};
}

Status decode_keys(const proto::HostRecord& in, HostRecord& out, const std::string& what) {
  if (in.ek_certificate().size() > largest_certificate) {
    return broken(what, "its endorsement certificate is longer than 8192 bytes");
  }
  out.ek_certificate = bytes_of(in.ek_certificate());
  CKPTSEAL_ASSIGN(const TpmPublic endorsement_key,
                  decode_public(in.ek_public(), "endorsement key", what));
  out.ek_public = endorsement_key.marshalled();
  CKPTSEAL_ASSIGN(out.attestation_key,
                  decode_public(in.attestation_key(), "attestation key", what));
  CKPTSEAL_ASSIGN(out.storage_parent, decode_key(in.storage_parent(), "storage parent", what));
  CKPTSEAL_TRY(check_number_of_signing_keys(in.signing_keys_size(), what));
  for (const proto::CertifiedKey& key : in.signing_keys()) {
    CKPTSEAL_ASSIGN(CertifiedKey decoded, decode_key(key, "signing key", what));
    for (const CertifiedKey& earlier : out.signing_keys) {
      if (earlier.public_area.name() == decoded.public_area.name()) {
        return broken(what, "it has one signing key twice");
      }
    }
    out.signing_keys.push_back(std::move(decoded));
  }
  return {};
}

Status decode_names(const proto::HostRecord& in, HostRecord& out, const std::string& what) {
  out.name = in.name();
  if (!check_host_name(out.name).ok()) return broken(what, "its name is none that a host can have");
  if (in.labels_size() > static_cast<int>(most_labels)) {
    return broken(what, fmt::format("it has more than {} labels", most_labels));
  }
  for (const proto::Label& label : in.labels()) {
    if (!out.labels.empty() && label.key() <= out.labels.rbegin()->first) {
      return broken(what, "its labels are not in order");
    }
    out.labels.emplace(label.key(), label.value());
  }
  if (!check_labels(out.labels).ok()) return broken(what, "one of its labels cannot be");
  out.manufacturer = in.manufacturer();
  const bool printable = std::all_of(out.manufacturer.begin(), out.manufacturer.end(),
                                     [](char c) { return c >= 0x20 && c <= 0x7e; });
  if (!printable ||
      out.manufacturer.size() >
          (in.version() == token_version ? longest_token_manufacturer : longest_tpm_manufacturer)) {
    return broken(what, "the manufacturer of its TPM or token is not a short printable text");
  }
  return {};
}

Status decode_anchor(const proto::PolicyAnchor& in, PcrValues& out, const std::string& what) {
  const Result<PcrSelection> selection = PcrSelection::of_mask(in.pcr_mask());
  if (!selection.ok()) return broken(what, "its policy anchor selects PCRs that cannot be used");
  out.selection = selection.value();
  if (static_cast<std::size_t>(in.pcr_values_size()) != out.selection.size()) {
    return broken(what, "its policy anchor has not one value for each PCR");
  }
  for (const std::string& value : in.pcr_values()) {
    Digest digest{};
    if (value.size() != digest.size()) return broken(what, "the value of a PCR is not 32 bytes");
    std::copy_n(as_bytes(value).begin(), digest.size(), digest.begin());
    out.values.push_back(digest);
  }
  return {};
}

Status decode_numbers(const proto::HostRecord& in, HostRecord& out, const std::string& what) {
  out.created = in.created();
  out.expires = in.expires();
  if (out.created == 0) return broken(what, "it does not say when it was made");
  if (out.expires != 0 && out.expires <= out.created) {
    return broken(what, "it expires before it was made");
  }
  out.software = in.software();
  return {};
}

Status decode_tpm(const proto::HostRecord& in, HostRecord& out, const std::string& what) {
  out.epoch_index = in.epoch_index();
  out.epoch = in.epoch();
  if (out.epoch_index >> 24 != 0x01) {
    return broken(what, "its epoch counter is not at an NV index of a TPM");
  }
  CKPTSEAL_TRY(decode_keys(in, out, what));
  CKPTSEAL_TRY(decode_anchor(in.policy_anchor(), out.policy_anchor, what));
  if (in.version() != policy_version) return {};
  Result<Policy> policy = Policy::parse(as_bytes(in.policy_anchor().policy()));
  if (!policy.ok()) return broken(what, "its release policy cannot be");
  out.policy = std::move(policy).value();
  return {};
}

void encode_tpm(const HostRecord& record, proto::HostRecord& out) {
  out.set_ek_certificate(string_of(record.ek_certificate));
  out.set_ek_public(string_of(record.ek_public));
  out.set_attestation_key(string_of(record.attestation_key.marshalled()));
  encode_key(record.storage_parent, *out.mutable_storage_parent());
  for (const CertifiedKey& key : record.signing_keys) encode_key(key, *out.add_signing_keys());
  out.set_epoch_index(record.epoch_index);
  out.set_epoch(record.epoch);
  proto::PolicyAnchor& anchor = *out.mutable_policy_anchor();
  anchor.set_pcr_mask(record.policy_anchor.selection.mask());
  for (const Digest& value : record.policy_anchor.values) anchor.add_pcr_values(string_of(value));
  if (record.policy) anchor.set_policy(string_of(record.policy->serialize()));
}

}  // namespace

Bytes encode_envelope(const RecordEnvelope& envelope) {
  proto::SignedHostRecord out;
  out.set_body(string_of(envelope.body));
  out.set_signature(string_of(envelope.signature));
  return serialize(out);
}

Result<RecordEnvelope> decode_envelope(ByteView bytes, const std::string& what) {
  proto::SignedHostRecord in;
  RecordEnvelope out;
  if (!parse(in, bytes)) return broken(what, "it is cut or altered");
  if (in.body().empty() || in.body().size() > largest_body) {
    return broken(what, "its body is not 1 to 65536 bytes long");
  }
  if (!decode_signature(in.signature(), out.signature)) {
    return broken(what, "its signature is not 64 bytes long");
  }
  out.body = bytes_of(in.body());
  if (!same_bytes(encode_envelope(out), bytes)) {
    return broken(what, "its envelope has unknown fields or another encoding than the one allowed");
  }
  return out;
}

Bytes encode_record_body(const HostRecord& record) {
  proto::HostRecord out;
  out.set_version(record.token ? token_version : record.policy ? policy_version : tpm_version);
  out.set_name(record.name);
  out.set_created(record.created);
  out.set_expires(record.expires);
  for (const auto& [key, value] : record.labels) {
    proto::Label& label = *out.add_labels();
    label.set_key(key);
    label.set_value(value);
  }
  if (record.token) {
    encode_token(*record.token, *out.mutable_token());
  } else {
    encode_tpm(record, out);
  }
  out.set_software(record.software);
  out.set_manufacturer(record.manufacturer);
  return serialize(out);
}

Result<HostRecord> decode_record_body(ByteView body, const std::string& what) {
  proto::HostRecord in;
  if (!parse(in, body)) return broken(what, "its body is cut or altered");
  if (in.version() < tpm_version || in.version() > policy_version) {
    return broken(what,
                  fmt::format("it is of version {}, and this program knows versions {} to {} only",
                              in.version(), tpm_version, policy_version));
  }
  HostRecord out;
  CKPTSEAL_TRY(decode_names(in, out, what));
  CKPTSEAL_TRY(decode_numbers(in, out, what));
  CKPTSEAL_TRY(in.version() == token_version ? decode_token(in, out, what)
                                             : decode_tpm(in, out, what));
  if (!same_bytes(encode_record_body(out), body)) {
    return broken(what, "its body has unknown fields or another encoding than the one allowed");
  }
  return out;
}

}  // namespace ckptseal
