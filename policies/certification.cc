// SPDX-License-Identifier: Apache-2.0
//
// TPMS_ATTEST field by field; the signature first, so that nothing else is believed before it.
#include "policies/certification.h"

#include <fmt/format.h>
#include <tss2/tss2_mu.h>

#include <string_view>

namespace ckptseal {
namespace {

Error refuse(std::string_view why) {
  return {Code::untrusted,
          fmt::format("A TPM key is not certified by its host's attestation key ({}): do not use "
                      "this host record, and have the host provisioned again.",
                      why),
          0};
}

// TPM 2.0 Part 1, "Qualified Names": of a primary key, H(hierarchy || Name).
TpmName qualified_name(TPM2_HANDLE hierarchy, const TpmName& name) {
  ByteWriter in;
  in.u32(hierarchy).bytes(name);
  const Digest digest = Sha256::of(in.view());
  ByteWriter out;
  out.u16(TPM2_ALG_SHA256).bytes(digest);
  return ByteReader(out.view()).array<34>();
}

bool is(const TPM2B_NAME& in, const TpmName& name) { return same_bytes({in.name, in.size}, name); }

Result<TPMS_ATTEST> unmarshal(ByteView attest) {
  TPMS_ATTEST out{};
  std::size_t used = 0;
  if (Tss2_MU_TPMS_ATTEST_Unmarshal(attest.data(), attest.size(), &used, &out) != TSS2_RC_SUCCESS ||
      used != attest.size()) {
    return refuse("the statement cannot be read");
  }
  return out;
}

}  // namespace

Status verify_certification(const TpmPublic& attestation_key, const TpmPublic& certified,
                            ByteView attest, const EcdsaSignature& signature) {
  if (!attestation_key.require(KeyRole::attestation_key).ok()) {
    return refuse("what signed it is no attestation key");
  }
  CKPTSEAL_ASSIGN(const EcPoint point, attestation_key.p256_point());
  if (!verify_p256(point, Sha256::of(attest), signature)) return refuse("the signature is bad");
  CKPTSEAL_ASSIGN(const TPMS_ATTEST statement, unmarshal(attest));
  if (statement.magic != TPM2_GENERATED_VALUE) return refuse("no TPM made the statement");
  if (statement.type != TPM2_ST_ATTEST_CERTIFY) return refuse("it states something else");
  if (statement.extraData.size != 0) return refuse("it was made for another purpose");
  if (!is(statement.qualifiedSigner, qualified_name(TPM2_RH_ENDORSEMENT, attestation_key.name()))) {
    return refuse("the attestation key is not of the endorsement hierarchy");
  }
  if (!is(statement.attested.certify.name, certified.name())) {
    return refuse("it is about another key");
  }
  if (!is(statement.attested.certify.qualifiedName,
          qualified_name(TPM2_RH_OWNER, certified.name()))) {
    return refuse("the key is not a primary key of the owner hierarchy");
  }
  return {};
}

}  // namespace ckptseal
