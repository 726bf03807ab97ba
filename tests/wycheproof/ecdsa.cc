// SPDX-License-Identifier: Apache-2.0
//
// verify_p256() of base/crypto.h against Project Wycheproof.
#include <stdexcept>

#include "base/crypto.h"
#include "der_signature.h"
#include "wycheproof.h"

namespace ckptseal::test {
namespace {

EcPoint key_of(const Vector& vector) {
  const Bytes point = bytes_in(vector.group().at("publicKey").at("uncompressed"));
  ByteReader in(point);
  const bool uncompressed = in.u8() == 0x04;
  const EcPoint out{in.array<32>(), in.array<32>()};
  if (!uncompressed || !in.at_end()) throw std::runtime_error("a key is no point on P-256");
  return out;
}

Outcome verify(const Vector& vector, const std::optional<EcdsaSignature>& signature) {
  // What cannot be written as r || s cannot be asked about; a valid one always can.
  if (!signature) return vector.verdict() == Verdict::valid ? Outcome::wrong : Outcome::not_ours;
  const Digest digest = Sha256::of(vector.bytes("msg"));
  return verify_p256(key_of(vector), digest, *signature) ? Outcome::right : Outcome::refused;
}

Outcome verify_der(const Vector& vector) {
  return verify(vector, signature_from_der(vector.bytes("sig")));
}

Outcome verify_plain(const Vector& vector) {
  const Bytes signature = vector.bytes("sig");
  if (signature.size() != sizeof(EcdsaSignature)) return verify(vector, std::nullopt);
  return verify(vector, ByteReader(signature).array<sizeof(EcdsaSignature)>());
}

TEST_F(Wycheproof, EcdsaP256) {
  run("ecdsa_secp256r1_sha256", "verify_p256()", verify_der);
  run("ecdsa_secp256r1_sha256_p1363", "verify_p256()", verify_plain);
}

}  // namespace
}  // namespace ckptseal::test
