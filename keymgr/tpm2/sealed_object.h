// SPDX-License-Identifier: Apache-2.0
//
// Offline sealing: a KEYEDHASH object made in software and wrapped for TPM2_Import under a target's
// storage parent, of which only the public part is needed (TPM 2.0 Part 1, "Duplication", outer
// wrap). It keeps a secret; it does not authenticate who made it.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "policies/tpm_public.h"

namespace ckptseal {

// The three inputs of TPM2_Import, each as it stands inside its TPM2B (without the size).
struct SealedObject {
  Bytes public_area;  // TPMT_PUBLIC, KEYEDHASH, with the authPolicy
  Bytes duplicate;    // TPM2B_PRIVATE.buffer
  Bytes seed;         // TPM2B_ENCRYPTED_SECRET.secret, a TPMS_ECC_POINT
};

// Seals `secret` (1 to 128 bytes) to `parent` (KeyRole::storage_parent), to be released under
// `auth_policy` alone. `auth`, if there is one, is the object's authValue (32 bytes, the last not
// 0): its policy asks for it, and wrong ones lock the TPM. Code::integrity when the parent is not
// such a key.
Result<SealedObject> seal_to_parent(const TpmPublic& parent, const Digest& auth_policy,
                                    const Secret& secret, const Secret* auth = nullptr);

// What the object's public area says.
struct ObjectPolicy {
  Digest auth_policy{};
  bool locks = false;  // wrong authValues lock the TPM
};
// Code::integrity when it is not exactly the kind of object that seal_to_parent makes (type,
// attributes, nameAlg).
Result<ObjectPolicy> policy_of(const SealedObject& object);

// By which the TPM knows the object once it is loaded.
TpmName name_of(const SealedObject& object);

}  // namespace ckptseal
