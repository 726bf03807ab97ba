// SPDX-License-Identifier: Apache-2.0
//
// TPMT_PUBLIC of each key, as docs/state.md, "Keys in the TPM", lists them.
#include "keymgr/tpm2/key_templates_internal.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace ckptseal {
namespace {

constexpr TPMA_OBJECT own = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                            TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                            TPMA_OBJECT_NODA;

// `label` stands in the unique field: it sets a key apart from others of the same shape.
TPM2B_PUBLIC p256(TPMA_OBJECT attributes, std::string_view label) {
  TPM2B_PUBLIC out{};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = attributes;
  area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
  area.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
  area.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
  area.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
  area.unique.ecc.x.size = static_cast<UINT16>(label.size());
  std::copy(label.begin(), label.end(), area.unique.ecc.x.buffer);
  return out;
}

void set_aes_128_cfb(TPMT_SYM_DEF_OBJECT& symmetric) {
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = 128;
  symmetric.mode.aes = TPM2_ALG_CFB;
}

TPM2B_PUBLIC signs_ecdsa(TPM2B_PUBLIC key) {
  key.publicArea.parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
  key.publicArea.parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  return key;
}

}  // namespace

TPM2B_PUBLIC storage_parent_template() {
  TPM2B_PUBLIC out = p256(own | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT, "");
  set_aes_128_cfb(out.publicArea.parameters.eccDetail.symmetric);
  return out;
}

TPM2B_PUBLIC attestation_key_template() {
  return signs_ecdsa(
      p256(own | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT, "ckpt-seal/v1/attest"));
}

TPM2B_PUBLIC signing_key_template() {
  return signs_ecdsa(p256(own | TPMA_OBJECT_SIGN_ENCRYPT, "ckpt-seal/v1/sign"));
}

TPM2B_PUBLIC endorsement_key_template() {
  // SHA-256 of the policy TPM2_PolicySecret(TPM_RH_ENDORSEMENT), as the profile prints it.
  constexpr std::array<BYTE, 32> policy = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8,
                                           0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
                                           0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64,
                                           0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
  TPM2B_PUBLIC out{};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_RSA;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                          TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |
                          TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  area.authPolicy.size = policy.size();
  std::copy(policy.begin(), policy.end(), area.authPolicy.buffer);
  set_aes_128_cfb(area.parameters.rsaDetail.symmetric);
  area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
  area.parameters.rsaDetail.keyBits = 2048;
  area.unique.rsa.size = 256;  // zeros
  return out;
}

}  // namespace ckptseal
