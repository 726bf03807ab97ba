// SPDX-License-Identifier: Apache-2.0
//
// Keys by GnuTLS; TPM structures written as TPM 2.0 Part 2 lists their fields.
#include "software_host.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <algorithm>
#include <cstdlib>

#include "base/pem.h"
#include "hosts/host_record_wire.h"

namespace ckptseal::test {
namespace {

void must(int code) {
  if (code < 0) std::abort();
}

struct Answer {  // what GnuTLS allocates
  gnutls_datum_t datum = {nullptr, 0};
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { gnutls_free(datum.data); }
};

// Big-endian numbers come with or without leading zeros.
void pad(const gnutls_datum_t& in, MutableByteView out) {
  ByteView bytes(in.data, in.size);
  while (bytes.size() > out.size()) bytes = bytes.subspan(1);
  std::copy(bytes.begin(), bytes.end(), out.end() - static_cast<std::ptrdiff_t>(bytes.size()));
}

ByteWriter& sized(ByteWriter& out, ByteView bytes) {
  return out.u16(static_cast<std::uint16_t>(bytes.size())).bytes(bytes);
}

// TPM 2.0 Part 1, "Qualified Names": of a primary key.
Bytes qualified_name(std::uint32_t hierarchy, const TpmName& name) {
  const Digest digest = Sha256::of(ByteWriter().u32(hierarchy).bytes(name).view());
  return ByteWriter().u16(0x000b).bytes(digest).take();
}

}  // namespace

struct SoftwareKey::State {
  gnutls_privkey_t handle = nullptr;
  State() { must(gnutls_privkey_init(&handle)); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { gnutls_privkey_deinit(handle); }
};

SoftwareKey::SoftwareKey() : state_(std::make_shared<State>()) {
  must(gnutls_privkey_generate2(state_->handle, GNUTLS_PK_ECDSA,
                                GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0, nullptr, 0));
  gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
  Answer x;
  Answer y;
  Answer k;
  must(gnutls_privkey_export_ecc_raw2(state_->handle, &curve, &x.datum, &y.datum, &k.datum, 0));
  pad(x.datum, point_.x);
  pad(y.datum, point_.y);
}

EcdsaSignature SoftwareKey::sign(const Digest& digest) const {
  Digest copy = digest;
  const gnutls_datum_t hash = {copy.data(), static_cast<unsigned>(copy.size())};
  Answer der;
  Answer r;
  Answer s;
  must(gnutls_privkey_sign_hash2(state_->handle, GNUTLS_SIGN_ECDSA_SHA256, 0, &hash, &der.datum));
  must(gnutls_decode_rs_value(&der.datum, &r.datum, &s.datum));
  EcdsaSignature out{};
  pad(r.datum, MutableByteView(out).first(32));
  pad(s.datum, MutableByteView(out).last(32));
  return out;
}

TpmPublic public_area(const SoftwareKey& key, std::uint32_t attributes, Shape shape) {
  ByteWriter out;
  out.u16(0x0023).u16(0x000b).u32(attributes).u16(0);
  if (shape == Shape::storage) {
    out.u16(0x0006).u16(128).u16(0x0043).u16(0x0010);
  } else {
    out.u16(0x0010).u16(0x0018).u16(0x000b);
  }
  out.u16(0x0003).u16(0x0010);
  sized(out, key.point().x);
  sized(out, key.point().y);
  return TpmPublic::parse(out.view()).value();
}

TpmPublic endorsement_key() {
  ByteWriter out;
  out.u16(0x0001).u16(0x000b).u32(0x000300b2);
  sized(out, Digest{0x83, 0x71, 0x97});
  out.u16(0x0006).u16(128).u16(0x0043).u16(0x0010).u16(2048).u32(0);
  sized(out, Bytes(256, 0xab));
  return TpmPublic::parse(out.view()).value();
}

SoftwareHost::SoftwareHost()
    : attestation_public(
          public_area(attestation, own_key | restricted | test::sign, Shape::signing)),
      storage_public(public_area(storage, own_key | restricted | decrypt, Shape::storage)),
      signing_public(public_area(signing, own_key | test::sign, Shape::signing)) {}

CertifiedKey SoftwareHost::certify(const TpmPublic& key, const AttestFields& fields) const {
  ByteWriter out;
  out.u32(fields.magic).u16(fields.type);
  sized(out, qualified_name(fields.signer_hierarchy, attestation_public.name()));
  sized(out, fields.extra_data);
  out.u64(123456).u32(3).u32(1).u8(1);  // clock, resetCount, restartCount, safe
  out.u64(0x2016051100162800);          // firmwareVersion
  sized(out, key.name());
  sized(out, qualified_name(fields.key_hierarchy, key.name()));
  const EcdsaSignature signature = attestation.sign(Sha256::of(out.view()));
  return {key, out.take(), signature};
}

HostRecord SoftwareHost::statement(const std::string& name) const {
  HostRecord out;
  out.name = name;
  out.created = 1000;
  out.expires = 2000;
  out.ek_certificate = Bytes(700, 0x30);
  out.ek_public = endorsement_key().marshalled();
  out.attestation_key = attestation_public;
  out.storage_parent = certify(storage_public);
  out.signing_keys = {certify(signing_public)};
  out.epoch_index = 0x01800f00;
  out.epoch = 7;
  out.labels = {{"rack", "r1"}, {"zone", "north 2"}};
  out.policy_anchor.selection = PcrSelection::standard();
  for (unsigned pcr : out.policy_anchor.selection.indices()) {
    out.policy_anchor.values.push_back(Sha256::of(ByteWriter().u32(pcr).view()));
  }
  out.software = true;
  out.manufacturer = "IBM";
  return out;
}

DigestSigner SoftwareHost::signer() const {
  return
      [key = signing](const Digest& digest) -> Result<EcdsaSignature> { return key.sign(digest); };
}

SignedHostRecord SoftwareHost::record(const std::string& name, Seconds created) const {
  HostRecord out = statement(name);
  out.created = created;
  out.expires = created + 1000;
  return sign_host_record(out, signer()).value();
}

std::string SoftwareHost::file_of_body(ByteView body) const {
  const Digest digest = Sha256().update(as_bytes("ckpt-seal/v1/host-record")).update(body).finish();
  return file_of(body, signing.sign(digest));
}

namespace {
RecordEnvelope envelope_of(const SignedHostRecord& record) {
  const Bytes content =
      pem_decode("CKPT-SEAL HOST RECORD", as_bytes(record.pem()), "The record").value();
  return decode_envelope(content, "The record").value();
}
}  // namespace

Bytes body_of(const SignedHostRecord& record) { return envelope_of(record).body; }

EcdsaSignature signature_of(const SignedHostRecord& record) {
  return envelope_of(record).signature;
}

std::string file_of(ByteView body, const EcdsaSignature& signature) {
  const RecordEnvelope envelope{Bytes(body.begin(), body.end()), signature};
  return pem_encode("CKPT-SEAL HOST RECORD", encode_envelope(envelope)).value();
}

}  // namespace ckptseal::test
