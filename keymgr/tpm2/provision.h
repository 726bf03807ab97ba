// SPDX-License-Identifier: Apache-2.0
//
// Sets a TPM up for ckpt-seal and takes that back: storage parent, attestation key, signing key,
// epoch counter and use counter. What stands there already and is ours is used again; what is not
// ours is never touched. TPM 2.0 Part 1, "Hierarchies" and "NV Memory".
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "keymgr/tpm2/keys.h"
#include "keymgr/tpm2/tcti.h"
#include "policies/tpm_public.h"

namespace ckptseal {

// TPM2_Certify of a key by the attestation key; qualifyingData is empty. Checked by
// verify_certification() of policies/certification.h.
struct Certification {
  Bytes attest;  // TPMS_ATTEST
  EcdsaSignature signature{};
};

// All that a host record says of a TPM, and the handles for daily work.
struct TpmIdentity {
  Bytes ek_certificate;  // DER; empty when the TPM carries none
  Bytes ek_public;       // TPMT_PUBLIC, RSA-2048, TCG template L-1
  TpmPublic attestation_key;
  TpmPublic storage_parent;
  TpmPublic signing_key;
  Certification storage_parent_certification;
  Certification signing_key_certification;
  std::uint32_t epoch_index = 0;
  std::uint64_t epoch = 0;
  std::uint32_t use_index = 0;
  std::uint64_t uses = 0;    // what the use counter says
  bool software = false;     // a software TPM: protects nothing against root
  std::string manufacturer;  // TPM_PT_MANUFACTURER, for example "IBM" or "IFX"
  TpmKeys keys;
};

// Called before each step with what it is about to do, for example "Making the storage parent".
using ProvisionProgress = std::function<void(std::string_view step)>;

// Running it again changes nothing and gives the same keys. Code::locked when the owner or
// endorsement hierarchy has an authorization value, Code::unavailable when the TPM is gone or full.
// On failure nothing that it made stays behind.
Result<TpmIdentity> provision_tpm(TpmConnection& connection,
                                  const ProvisionProgress& progress = nullptr);

// Counts the epoch counter up, and gives its new value: what was sealed for this host with an
// earlier epoch in its policy never opens again. Code::unavailable when it is not one of ours.
Result<std::uint64_t> count_epoch(TpmConnection& connection, std::uint32_t index);

struct ProvisionStep {
  std::string what;  // "storage parent", "attestation key", "signing key", "epoch counter", ...
  std::uint32_t handle = 0;  // where it stands or would stand
  bool exists = false;       // it is there and would be used again
};
// What provision_tpm() would do; changes nothing that outlives the call.
Result<std::vector<ProvisionStep>> plan_provision(TpmConnection& connection);

// Evicts each handle whose Name is still that of `keys`, and each counter if it is still one of
// ours. What is not there any more, or is another's by now, is left alone and no error.
Status remove_tpm_keys(TpmConnection& connection, const TpmKeys& keys);
// What remove_tpm_keys() would remove: `exists` says whether it would.
Result<std::vector<ProvisionStep>> plan_removal(TpmConnection& connection, const TpmKeys& keys);

}  // namespace ckptseal
