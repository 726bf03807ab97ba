// SPDX-License-Identifier: Apache-2.0
//
// Offline sealing: what TPM2_Duplicate would have made, made without a TPM.
#include "keymgr/tpm2/sealed_object.h"

#include <fmt/format.h>
#include <nettle/aes.h>
#include <nettle/cfb.h>

#include <algorithm>
#include <stdexcept>

#include "base/crypto.h"
#include "keymgr/tpm2/ecdh_p256.h"
#include "keymgr/tpm2/kdf.h"

namespace ckptseal {
namespace {

// TPM 2.0 Part 2, "TPM_ALG_ID" and "TPMA_OBJECT".
constexpr std::uint16_t alg_keyedhash = 0x0008;
constexpr std::uint16_t alg_sha256 = 0x000b;
constexpr std::uint16_t alg_null = 0x0010;
// userWithAuth is clear, so that only the policy opens it; fixedTPM and fixedParent are clear, as
// TPM2_Import demands.
constexpr std::uint32_t admin_with_policy = 0x00000080;
constexpr std::uint32_t no_da = 0x00000400;  // nothing is to be guessed: the TPM need not lock

constexpr std::size_t digest_size = 32;
constexpr std::size_t storage_key_size = 16;  // AES-128, the parent's symmetric algorithm
constexpr std::size_t largest_secret = 128;   // MAX_SYM_DATA

// unique of a KEYEDHASH object: H(seedValue || sensitive) (TPM 2.0 Part 1, "Public Area Creation").
Result<Digest> unique_of(const Secret& seed_value, const Secret& secret) {
  CKPTSEAL_ASSIGN(Secret both, Secret::make(seed_value.size() + secret.size()));
  const auto end =
      std::copy(seed_value.view().begin(), seed_value.view().end(), both.mutable_view().begin());
  std::copy(secret.view().begin(), secret.view().end(), end);
  return Sha256::of(both.view());
}

Bytes public_area(const Digest& auth_policy, const Digest& unique, bool locks) {
  ByteWriter out;
  out.u16(alg_keyedhash).u16(alg_sha256).u32(admin_with_policy | (locks ? 0 : no_da));
  out.u16(digest_size).bytes(auth_policy);
  out.u16(alg_null);  // TPMS_KEYEDHASH_PARMS: no scheme
  out.u16(digest_size).bytes(unique);
  return out.take();
}

// TPM2B_SENSITIVE; written in place, since a growing buffer leaves copies.
Result<Secret> sensitive_area(const Secret& seed_value, const Secret& secret, const Secret* auth) {
  const ByteView auth_value = auth == nullptr ? ByteView() : auth->view();
  const std::size_t area_size =
      2 + (2 + auth_value.size()) + (2 + seed_value.size()) + (2 + secret.size());
  CKPTSEAL_ASSIGN(Secret out, Secret::make(2 + area_size));
  auto at = out.mutable_view().begin();
  const auto put = [&at](ByteView bytes) { at = std::copy(bytes.begin(), bytes.end(), at); };
  const auto put_u16 = [&put](std::size_t value) {
    put(ByteWriter().u16(static_cast<std::uint16_t>(value)).view());
  };
  put_u16(area_size);
  put_u16(alg_keyedhash);
  put_u16(auth_value.size());
  put(auth_value);
  put_u16(seed_value.size());
  put(seed_value.view());
  put_u16(secret.size());
  put(secret.view());
  return out;
}

// Its IV is zero: the key is used for this one message.
Bytes encrypt_cfb128(const Secret& key, const Secret& message) {
  if (key.size() != storage_key_size) throw std::logic_error("AES-128 key of another size");
  aes128_ctx cipher;
  aes128_set_encrypt_key(&cipher, key.view().data());
  ByteArray<AES_BLOCK_SIZE> iv{};
  Bytes out(message.size());
  cfb_encrypt(&cipher, reinterpret_cast<nettle_cipher_func*>(aes128_encrypt), iv.size(), iv.data(),
              out.size(), out.data(), message.view().data());
  wipe({reinterpret_cast<std::uint8_t*>(&cipher), sizeof cipher});
  return out;
}

// The outer wrap (TPM 2.0 Part 1, "Outer Duplication Wrapper"): TPM2B_DIGEST{HMAC over the
// encrypted sensitive area and the object's Name} || encrypted sensitive area.
Result<Bytes> wrap_sensitive(const Secret& seed, const TpmName& name, const Secret& sensitive) {
  CKPTSEAL_ASSIGN(const Secret storage_key, kdfa(seed, "STORAGE", name, {}, storage_key_size));
  CKPTSEAL_ASSIGN(const Secret integrity_key, kdfa(seed, "INTEGRITY", {}, {}, digest_size));
  const Bytes encrypted = encrypt_cfb128(storage_key, sensitive);
  const Digest integrity =
      hmac_sha256(integrity_key.view(), ByteWriter().bytes(encrypted).bytes(name).view());
  return ByteWriter().u16(digest_size).bytes(integrity).bytes(encrypted).take();
}

struct SharedSeed {
  Secret seed;
  Bytes message;  // TPMS_ECC_POINT from which the parent computes the same
};

// TPM 2.0 Part 1, "ECC Secret Sharing".
Result<SharedSeed> share_seed(const EcPoint& parent) {
  CKPTSEAL_ASSIGN(const Secret ephemeral, random_p256_scalar());
  CKPTSEAL_ASSIGN(const EcPoint point, p256_public_point(ephemeral));
  CKPTSEAL_ASSIGN(const Secret z, p256_shared_x(ephemeral, parent));
  CKPTSEAL_ASSIGN(Secret seed, kdfe(z, "DUPLICATE", point.x, parent.x, digest_size));
  ByteWriter message;
  message.u16(digest_size).bytes(point.x).u16(digest_size).bytes(point.y);
  return SharedSeed{std::move(seed), message.take()};
}

}  // namespace

Result<SealedObject> seal_to_parent(const TpmPublic& parent, const Digest& auth_policy,
                                    const Secret& secret, const Secret* auth) {
  if (secret.size() > largest_secret) {
    return Error{Code::failed, "A TPM seals at most 128 bytes: seal a key to the data instead.", 0};
  }
  if (auth != nullptr && (auth->size() != digest_size || auth->view().back() == 0)) {
    throw std::logic_error("an authValue of another form than docs/format.md says");
  }
  CKPTSEAL_TRY(parent.require(KeyRole::storage_parent));
  CKPTSEAL_ASSIGN(const EcPoint parent_point, parent.p256_point());
  CKPTSEAL_ASSIGN(const SharedSeed shared, share_seed(parent_point));
  // Of its own, as the TPM keeps it: it blinds `unique`, and is no protection seed.
  CKPTSEAL_ASSIGN(const Secret seed_value, random_secret(digest_size));
  CKPTSEAL_ASSIGN(const Digest unique, unique_of(seed_value, secret));
  CKPTSEAL_ASSIGN(const Secret sensitive, sensitive_area(seed_value, secret, auth));

  SealedObject out;
  out.public_area = public_area(auth_policy, unique, auth != nullptr);
  CKPTSEAL_ASSIGN(const TpmPublic object, TpmPublic::parse(out.public_area));
  CKPTSEAL_ASSIGN(out.duplicate, wrap_sensitive(shared.seed, object.name(), sensitive));
  out.seed = shared.message;
  return out;
}

Result<ObjectPolicy> policy_of(const SealedObject& object) {
  ByteReader in(object.public_area);
  bool right_kind = in.u16() == alg_keyedhash && in.u16() == alg_sha256;
  const std::uint32_t attributes = in.u32();
  ObjectPolicy out;
  out.locks = (attributes & no_da) == 0;
  right_kind = right_kind && (attributes & ~no_da) == admin_with_policy;
  const bool policy_fits = in.u16() == digest_size;
  out.auth_policy = in.array<digest_size>();
  const bool no_scheme = in.u16() == alg_null;
  const bool unique_fits = in.u16() == digest_size;
  in.array<digest_size>();
  if (!in.at_end() || !right_kind || !policy_fits || !no_scheme || !unique_fits) {
    return Error{Code::integrity,
                 "The key in this file's TPM slot is no sealed object of ckpt-seal: the file is "
                 "damaged or altered, so use another copy.",
                 0};
  }
  return out;
}

TpmName name_of(const SealedObject& object) {
  const Bytes name = ByteWriter().u16(0x000b).bytes(Sha256::of(object.public_area)).take();
  TpmName out{};
  std::copy(name.begin(), name.end(), out.begin());
  return out;
}

}  // namespace ckptseal
