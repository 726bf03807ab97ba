// SPDX-License-Identifier: Apache-2.0
//
// RSA-OAEP of public key slots against Project Wycheproof: SHA-256 for both and an empty label.
#include <openssl/err.h>

#include <stdexcept>

#include "key_files.h"
#include "wycheproof.h"

namespace ckptseal::test {
namespace {

constexpr std::size_t smallest_modulus_bits = 2048;

// As PrivateKeyOperation has it.
std::optional<Bytes> decrypt(ByteView pkcs8, ByteView ciphertext) {
  const OwnedKey key = load_private_key(pkcs8);
  const OwnedKeyContext context = context_of(key.get());
  if (EVP_PKEY_decrypt_init(context.get()) != 1 || !choose_oaep(context.get())) {
    throw std::runtime_error("RSA-OAEP cannot be prepared");
  }
  Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
  std::size_t size = out.size();
  const bool fits =
      EVP_PKEY_decrypt(context.get(), out.data(), &size, ciphertext.data(), ciphertext.size()) == 1;
  ERR_clear_error();
  if (!fits) return std::nullopt;
  out.resize(size);
  return out;
}

std::optional<Secret> open_rsa(PublicKeyIdentity& identity, const Bytes& ciphertext) {
  PublicKeySlot slot;
  slot.algorithm = KeyAlgorithm::rsa_oaep;
  slot.key_id = identity.key().id();
  slot.rsa_ciphertext = ciphertext;
  return open_slot(identity, slot);
}

// A slot gives out what is as long as a data key, and nothing else.
bool slot_agrees(PublicKeyIdentity& identity, const Bytes& ciphertext,
                 const std::optional<Bytes>& message) {
  const std::optional<Secret> opened = open_rsa(identity, ciphertext);
  if (!message || message->size() != data_key_size) return !opened;
  return opened && same_bytes(opened->view(), *message);
}

bool has_our_hashes(const nlohmann::json& group) {
  return group.at("sha") == "SHA-256" && group.at("mgf") == "MGF1" &&
         group.at("mgfSha") == "SHA-256";
}

Outcome oaep(const Vector& vector) {
  if (!has_our_hashes(vector.group())) return Outcome::not_ours;
  const Bytes key_file = bytes_in(vector.group().at("privateKeyPkcs8"));
  std::optional<PublicKeyIdentity> identity = identity_of(key_file);
  if (vector.group().at("keySize").get<std::size_t>() < smallest_modulus_bits) {
    return identity ? Outcome::wrong : Outcome::not_ours;
  }
  if (!identity) return Outcome::refused;
  const Bytes ciphertext = vector.bytes("ct");
  const std::optional<Bytes> message = decrypt(key_file, ciphertext);
  if (!slot_agrees(*identity, ciphertext, message)) return Outcome::wrong;
  // What has a label is right with that label alone.
  if (!vector.bytes("label").empty()) return message ? Outcome::wrong : Outcome::not_ours;
  if (!message) return Outcome::refused;
  return *message == vector.bytes("msg") ? Outcome::right : Outcome::wrong;
}

TEST_F(Wycheproof, RsaOaep) {
  for (const char* file : {"rsa_oaep_2048_sha256_mgf1sha256", "rsa_oaep_3072_sha256_mgf1sha256",
                           "rsa_oaep_4096_sha256_mgf1sha256",
                           "rsa_three_primes_oaep_4096_sha256_mgf1sha256", "rsa_oaep_misc"}) {
    run(file, "unwrap()", oaep);
  }
}

}  // namespace
}  // namespace ckptseal::test
