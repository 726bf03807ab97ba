// SPDX-License-Identifier: Apache-2.0
//
// TPMT_PUBLIC as bytes, read by the TSS's marshalling and judged field by field.
#include "policies/tpm_public.h"

#include <fmt/format.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace ckptseal {
namespace {

constexpr std::size_t largest_public = 512;

Error not_a_public_area(std::string_view why, std::uint32_t cause = 0) {
  return {Code::integrity,
          fmt::format("The public area of a TPM object {}: it is damaged or altered, so get the "
                      "host record or file again from its source.",
                      why),
          cause};
}

Result<TPMT_PUBLIC> unmarshal(ByteView marshalled) {
  TPMT_PUBLIC area{};
  std::size_t used = 0;
  const TSS2_RC code =
      Tss2_MU_TPMT_PUBLIC_Unmarshal(marshalled.data(), marshalled.size(), &used, &area);
  if (code != TSS2_RC_SUCCESS) return not_a_public_area("cannot be read", code);
  if (used != marshalled.size()) return not_a_public_area("has bytes behind it");
  return area;
}

// TpmPublic keeps the bytes alone, so that its header needs none of the TSS; they were parsed once.
TPMT_PUBLIC area_of(const TpmPublic& key) { return unmarshal(key.marshalled()).value(); }

Bytes marshal(const TPMT_PUBLIC& area) {
  Bytes out(sizeof area);
  std::size_t used = 0;
  if (Tss2_MU_TPMT_PUBLIC_Marshal(&area, out.data(), out.size(), &used) != TSS2_RC_SUCCESS) {
    return {};
  }
  out.resize(used);
  return out;
}

struct Attribute {
  TPMA_OBJECT bit;
  std::string_view name;
};
constexpr std::array<Attribute, 12> attributes = {{
    {TPMA_OBJECT_FIXEDTPM, "fixedTPM"},
    {TPMA_OBJECT_STCLEAR, "stClear"},
    {TPMA_OBJECT_FIXEDPARENT, "fixedParent"},
    {TPMA_OBJECT_SENSITIVEDATAORIGIN, "sensitiveDataOrigin"},
    {TPMA_OBJECT_USERWITHAUTH, "userWithAuth"},
    {TPMA_OBJECT_ADMINWITHPOLICY, "adminWithPolicy"},
    {TPMA_OBJECT_NODA, "noDA"},
    {TPMA_OBJECT_ENCRYPTEDDUPLICATION, "encryptedDuplication"},
    {TPMA_OBJECT_RESTRICTED, "restricted"},
    {TPMA_OBJECT_DECRYPT, "decrypt"},
    {TPMA_OBJECT_SIGN_ENCRYPT, "sign"},
    {TPMA_OBJECT_X509SIGN, "x509sign"},
}};

struct Demand {
  std::string_view what;
  TPMA_OBJECT set;  // the others must be clear
};

Demand demand_of(KeyRole role) {
  // A private part that its TPM generated and that never leaves it; used without a password, and so
  // no way into the TPM's lockout.
  constexpr TPMA_OBJECT own = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                              TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                              TPMA_OBJECT_NODA;
  switch (role) {
    case KeyRole::storage_parent:
      return {"a storage parent", own | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT};
    case KeyRole::attestation_key:
      return {"an attestation key", own | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT};
    case KeyRole::signing_key:
      return {"a signing key", own | TPMA_OBJECT_SIGN_ENCRYPT};
  }
  return {"a known kind of key", own};
}

std::string wrong_attributes(const TPMT_PUBLIC& area, TPMA_OBJECT demanded) {
  std::string out;
  for (const auto& [bit, name] : attributes) {
    const bool want = (demanded & bit) != 0;
    if (((area.objectAttributes & bit) != 0) == want) continue;
    if (!out.empty()) out += ", ";
    out += fmt::format("{} is {}set", name, want ? "not " : "");
  }
  return out;
}

// Empty when the parameters of an ECC key fit.
std::string_view wrong_parameters(const TPMS_ECC_PARMS& ecc, KeyRole role) {
  if (ecc.curveID != TPM2_ECC_NIST_P256) return "its curve is not NIST P-256";
  if (ecc.kdf.scheme != TPM2_ALG_NULL) return "it has a key derivation scheme";
  if (role == KeyRole::storage_parent) {
    const TPMT_SYM_DEF_OBJECT& inner = ecc.symmetric;
    if (inner.algorithm != TPM2_ALG_AES || inner.keyBits.aes != 128 ||
        inner.mode.aes != TPM2_ALG_CFB) {
      return "it does not protect its children with AES-128-CFB";
    }
    return ecc.scheme.scheme == TPM2_ALG_NULL ? "" : "it has a scheme";
  }
  if (ecc.symmetric.algorithm != TPM2_ALG_NULL) return "it has a symmetric algorithm";
  if (ecc.scheme.scheme != TPM2_ALG_ECDSA || ecc.scheme.details.ecdsa.hashAlg != TPM2_ALG_SHA256) {
    return "its scheme is not ECDSA with SHA-256";
  }
  return "";
}

// Big-endian with at most its own width; shorter ones were cut of leading zeros.
bool pad_coordinate(const TPM2B_ECC_PARAMETER& in, ByteArray<32>& out) {
  if (in.size == 0 || in.size > out.size()) return false;
  std::copy_n(in.buffer, in.size, out.end() - in.size);
  return true;
}

}  // namespace

Result<TpmPublic> TpmPublic::parse(ByteView marshalled) {
  if (marshalled.size() > largest_public) return not_a_public_area("is longer than 512 bytes");
  CKPTSEAL_ASSIGN(const TPMT_PUBLIC area, unmarshal(marshalled));
  if (!same_bytes(marshal(area), marshalled)) return not_a_public_area("is encoded oddly");
  if (area.nameAlg != TPM2_ALG_SHA256) {
    return not_a_public_area("has a Name that is not made with SHA-256");
  }
  TpmPublic out;
  out.marshalled_.assign(marshalled.begin(), marshalled.end());
  // TPM 2.0 Part 1, "Names": nameAlg || H(publicArea).
  const Digest digest = Sha256::of(marshalled);
  out.name_[0] = TPM2_ALG_SHA256 >> 8;
  out.name_[1] = TPM2_ALG_SHA256 & 0xff;
  std::copy(digest.begin(), digest.end(), out.name_.begin() + 2);
  return out;
}

Status TpmPublic::require(KeyRole role) const {
  const TPMT_PUBLIC area = area_of(*this);
  const Demand demand = demand_of(role);
  std::string wrong;
  if (area.type != TPM2_ALG_ECC) {
    wrong = "it is not an elliptic-curve key";
  } else if (wrong = wrong_attributes(area, demand.set); wrong.empty()) {
    wrong = wrong_parameters(area.parameters.eccDetail, role);
  }
  if (wrong.empty()) return {};
  return Error{Code::integrity,
               fmt::format("A TPM key cannot serve as {}: {}; have its host provisioned again.",
                           demand.what, wrong),
               0};
}

Result<EcPoint> TpmPublic::p256_point() const {
  const TPMT_PUBLIC area = area_of(*this);
  EcPoint out;
  if (area.type != TPM2_ALG_ECC || area.parameters.eccDetail.curveID != TPM2_ECC_NIST_P256 ||
      !pad_coordinate(area.unique.ecc.x, out.x) || !pad_coordinate(area.unique.ecc.y, out.y)) {
    return not_a_public_area("holds no point on NIST P-256");
  }
  return out;
}

}  // namespace ckptseal
