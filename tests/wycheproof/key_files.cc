// SPDX-License-Identifier: Apache-2.0
//
// Thin calls, with everything that a vector cannot be blamed for thrown.
#include "key_files.h"

#include <openssl/x509.h>

#include <stdexcept>

#include "keymgr/public_key/private_key.h"

namespace ckptseal::test {

std::optional<PublicKeyIdentity> identity_of(ByteView key_file) {
  const Secret file = Secret::copy_of(key_file).value();
  Result<PublicKeyIdentity> identity = read_private_key(file, nullptr, "The key file");
  if (!identity.ok()) return std::nullopt;
  return std::move(identity).value();
}

OwnedKey load_private_key(ByteView pkcs8) {
  prepare_openssl();
  const unsigned char* at = pkcs8.data();
  using OwnedKeyInfo = Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>;
  const OwnedKeyInfo info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(pkcs8.size())));
  OwnedKey key(info == nullptr ? nullptr : EVP_PKCS82PKEY(info.get()));
  if (key == nullptr) throw std::runtime_error("a private key of a vector is no PKCS#8");
  return key;
}

std::optional<Secret> open_slot(PublicKeyIdentity& identity, const PublicKeySlot& slot) {
  const SlotBody body{static_cast<std::uint16_t>(SlotKind::public_key), slot.serialize()};
  Result<std::optional<Secret>> opened = identity.unwrap(body, some_checkpoint);
  if (!opened.ok()) {
    if (opened.error().code == Code::integrity) return std::nullopt;
    throw std::runtime_error(opened.error().message);
  }
  if (!opened.value()) throw std::runtime_error("a slot of this key was called another's");
  return std::move(opened).value();
}

}  // namespace ckptseal::test
