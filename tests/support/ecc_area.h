// SPDX-License-Identifier: Apache-2.0
//
// Public areas of ECC keys written by hand (TPMT_PUBLIC, TPM 2.0 Part 2), so that a test can make
// any field of one wrong.
#pragma once

#include "base/bytes.h"
#include "base/crypto.h"

namespace ckptseal::test {

struct EccArea {
  std::uint16_t type = 0x0023;
  std::uint16_t name_algorithm = 0x000b;
  std::uint32_t attributes = 0x00030472;                   // a storage parent's
  Bytes symmetric = {0x00, 0x06, 0x00, 0x80, 0x00, 0x43};  // AES-128-CFB
  Bytes scheme = {0x00, 0x10};                             // none
  std::uint16_t curve = 0x0003;                            // NIST P-256
  std::uint16_t kdf = 0x0010;                              // none
  Bytes x = Bytes(32, 0x11);
  Bytes y = Bytes(32, 0x22);

  Bytes marshal() const {
    ByteWriter out;
    out.u16(type).u16(name_algorithm).u32(attributes).u16(0).bytes(symmetric).bytes(scheme);
    out.u16(curve).u16(kdf);
    out.u16(static_cast<std::uint16_t>(x.size())).bytes(x);
    out.u16(static_cast<std::uint16_t>(y.size())).bytes(y);
    return out.take();
  }
};

inline EccArea storage_area(const EcPoint& point) {
  EccArea out;
  out.x.assign(point.x.begin(), point.x.end());
  out.y.assign(point.y.begin(), point.y.end());
  return out;
}

// `attributes` 0x00050472 makes an attestation key, 0x00040472 a signing key.
inline EccArea ecdsa_area(std::uint32_t attributes) {
  EccArea out;
  out.attributes = attributes;
  out.symmetric = {0x00, 0x10};
  out.scheme = {0x00, 0x18, 0x00, 0x0b};  // ECDSA with SHA-256
  return out;
}

}  // namespace ckptseal::test
