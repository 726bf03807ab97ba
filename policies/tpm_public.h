// SPDX-License-Identifier: Apache-2.0
//
// The public area of a TPM object (TPMT_PUBLIC) as records and slots carry it: read and judged in
// software, as TPM 2.0 Part 1 "Names" and Part 2 "TPMT_PUBLIC" say. No hardware.
#pragma once

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"

namespace ckptseal {

using TpmName = ByteArray<34>;  // nameAlg SHA-256 (00 0b) and a digest

// What ckpt-seal asks of a key before it trusts it: exactly the attributes of docs/state.md, "Keys
// in the TPM", fixedTPM and fixedParent among them, and those parameters.
enum class KeyRole : std::uint8_t {
  storage_parent,   // restricted decrypt, ECC P-256, AES-128-CFB
  attestation_key,  // restricted sign, ECDSA P-256 with SHA-256
  signing_key,      // unrestricted sign, ECDSA P-256 with SHA-256
};

class TpmPublic {
 public:
  // `marshalled` is a TPMT_PUBLIC without a size before it and nothing behind it, 512 bytes at
  // most. Code::integrity when it is not one, or not encoded the one way, or nameAlg is not
  // SHA-256.
  static Result<TpmPublic> parse(ByteView marshalled);

  const Bytes& marshalled() const { return marshalled_; }
  const TpmName& name() const { return name_; }
  // Code::integrity when the key is not of that role; says what is missing.
  Status require(KeyRole role) const;
  // The point of a P-256 key, both coordinates padded to 32 bytes; Code::integrity for other keys.
  Result<EcPoint> p256_point() const;

 private:
  Bytes marshalled_;
  TpmName name_{};
};

}  // namespace ckptseal
