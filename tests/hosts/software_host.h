// SPDX-License-Identifier: Apache-2.0
//
// A host for tests whose "TPM" is a handful of keys in memory: public areas and certifications are
// made by hand, so that each of their bytes can be made wrong.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hosts/host_record.h"

namespace ckptseal::test {

// TPMA_OBJECT (TPM 2.0 Part 2, 8.3).
inline constexpr std::uint32_t fixed_tpm = 1U << 1;
inline constexpr std::uint32_t fixed_parent = 1U << 4;
inline constexpr std::uint32_t sensitive_data_origin = 1U << 5;
inline constexpr std::uint32_t user_with_auth = 1U << 6;
inline constexpr std::uint32_t no_da = 1U << 10;
inline constexpr std::uint32_t restricted = 1U << 16;
inline constexpr std::uint32_t decrypt = 1U << 17;
inline constexpr std::uint32_t sign = 1U << 18;
inline constexpr std::uint32_t own_key =
    fixed_tpm | fixed_parent | sensitive_data_origin | user_with_auth | no_da;

inline constexpr std::uint32_t owner_hierarchy = 0x40000001;
inline constexpr std::uint32_t endorsement_hierarchy = 0x4000000b;

class SoftwareKey {  // ECDSA P-256
 public:
  SoftwareKey();
  const EcPoint& point() const { return point_; }
  EcdsaSignature sign(const Digest& digest) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
  EcPoint point_;
};

enum class Shape { storage, signing };
TpmPublic public_area(const SoftwareKey& key, std::uint32_t attributes, Shape shape);
TpmPublic endorsement_key();  // RSA-2048, template L-1

struct AttestFields {  // of TPMS_ATTEST, with what a right one says
  std::uint32_t magic = 0xff544347;
  std::uint16_t type = 0x8017;
  Bytes extra_data;
  std::uint32_t signer_hierarchy = endorsement_hierarchy;
  std::uint32_t key_hierarchy = owner_hierarchy;
};

// The public areas are fields so that a test can exchange them before it asks for a record.
struct SoftwareHost {
  SoftwareHost();

  CertifiedKey certify(const TpmPublic& key, const AttestFields& fields = {}) const;
  // A right record of this host, not signed yet.
  HostRecord statement(const std::string& name = "host-a") const;
  DigestSigner signer() const;
  SignedHostRecord record(const std::string& name = "host-a", Seconds created = 1000) const;
  // Signs any body, right or wrong, and makes a file of it.
  std::string file_of_body(ByteView body) const;

  SoftwareKey attestation;
  SoftwareKey storage;
  SoftwareKey signing;
  TpmPublic attestation_public;
  TpmPublic storage_public;
  TpmPublic signing_public;
};

Bytes body_of(const SignedHostRecord& record);
EcdsaSignature signature_of(const SignedHostRecord& record);
std::string file_of(ByteView body, const EcdsaSignature& signature);

}  // namespace ckptseal::test
