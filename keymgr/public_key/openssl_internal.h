// SPDX-License-Identifier: Apache-2.0
//
// What the files of this folder share of OpenSSL's libcrypto: owners of its objects, and the few
// operations that more than one of them needs. No header that others include knows of it.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "keymgr/public_key/slot.h"

namespace ckptseal {

template <auto function>
struct FreedBy {
  template <typename T>
  void operator()(T* object) const {
    function(object);
  }
};
template <typename T, auto function>
using Owned = std::unique_ptr<T, FreedBy<function>>;

using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;  // wipes what is private in it
using OwnedKeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using OwnedBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using OwnedBio = Owned<BIO, BIO_free>;

// Before anything else is asked of OpenSSL: it wipes what it frees, and its configuration file,
// which the environment may name, is not read and starts no provider or engine. Both are left out
// when somebody else in the process was first.
void prepare_openssl();

// Code::failed, with what OpenSSL says; its queue of errors is empty afterwards.
Error openssl_error(std::string_view sentence);
// The last error, 0 if none; the queue is empty afterwards.
std::uint32_t take_openssl_code();

// Null when it is no whole SubjectPublicKeyInfo in DER or its key is not on its curve. OpenSSL
// tries all its decoders on it, which takes longer than a key agreement; load_point() does not.
OwnedKey load_public_key(ByteView spki);
// Of a point as slots have it, not for RSA. Null when it is not on its curve.
OwnedKey load_point(KeyAlgorithm algorithm, ByteView point);
// Empty when it cannot be had.
Bytes point_of(EVP_PKEY* key);
// A public key of two or more parts; null when OpenSSL does not take them.
OwnedKey make_public_key(const char* type, OSSL_PARAM_BLD* parts);
// Empty when it cannot be written.
Bytes spki_of(const EVP_PKEY* key);

OwnedKeyContext context_of(EVP_PKEY* key);

// Z of a key agreement. nullopt when the peer's key of X25519 forces an all-zero one.
Result<std::optional<Secret>> agree(EVP_PKEY* own, EVP_PKEY* peer, KeyAlgorithm algorithm);

// RFC 8017, section 7.1, with SHA-256 for both and an empty label.
bool choose_oaep(EVP_PKEY_CTX* context);

}  // namespace ckptseal
