// SPDX-License-Identifier: Apache-2.0
//
// HKDF and HMAC with SHA-256 of base/crypto.h against Project Wycheproof.
#include <stdexcept>

#include "base/crypto.h"
#include "wycheproof.h"

namespace ckptseal::test {
namespace {

constexpr std::size_t longest_output = 8160;  // of HKDF with SHA-256

Outcome hkdf(const Vector& vector) {
  const Secret extracted = hkdf_extract(vector.bytes("salt"), vector.bytes("ikm")).value();
  const std::size_t size = vector.number("size");
  try {
    const Secret out = hkdf_expand(extracted, vector.bytes("info"), size).value();
    return same_bytes(out.view(), vector.bytes("okm")) ? Outcome::right : Outcome::wrong;
  } catch (const std::runtime_error&) {
    // To ask for more is a bug of the caller.
    return size > longest_output ? Outcome::refused : Outcome::wrong;
  }
}

Outcome hmac(const Vector& vector) {
  const Bytes tag = vector.bytes("tag");
  if (tag.size() != sizeof(Digest)) return Outcome::not_ours;
  const Digest code = hmac_sha256(vector.bytes("key"), vector.bytes("msg"));
  return equal_constant_time(code, tag) ? Outcome::right : Outcome::refused;
}

TEST_F(Wycheproof, HkdfSha256) { run("hkdf_sha256", "hkdf_expand(hkdf_extract())", hkdf); }

TEST_F(Wycheproof, HmacSha256) { run("hmac_sha256", "hmac_sha256()", hmac); }

}  // namespace
}  // namespace ckptseal::test
