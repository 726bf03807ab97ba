// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "TPM slot", backwards.
#include "software_parent.h"

#include <nettle/aes.h>
#include <nettle/cfb.h>

#include <algorithm>
#include <stdexcept>

#include "keymgr/tpm2/ecdh_p256.h"
#include "keymgr/tpm2/kdf.h"
#include "policies/policy_digest.h"

namespace ckptseal::test {
namespace {

Error not_importable(const char* why) { return {Code::integrity, why, 0}; }
Error wrong_pin() { return {Code::policy, "a wrong PIN", 0}; }

// docs/policies.md, "Ways": of those that do not lead to another TPM, what the first one wants.
struct Ways {
  bool any = false;
  bool without_pin = false;        // there is one that wants no PIN
  bool first_without_pin = false;  // it is taken first
};

template <typename Step>
bool has(const PolicyPath& path) {
  return std::any_of(path.begin(), path.end(),
                     [](const PolicyStep& step) { return std::holds_alternative<Step>(step); });
}

Ways ways_of(const Policy& policy, const Checkpoint& of) {
  Ways out;
  bool pin_alone = false;
  bool neither = false;
  for (const PolicyPath& path : policy_paths(policy, of)) {
    const auto* term = path.empty() ? nullptr : std::get_if<ApprovalTerm>(&path.front());
    if (term != nullptr && term->purpose != ApprovalPurpose::restore) continue;
    const bool pin = has<PinTerm>(path);
    const bool online = has<OnlineStep>(path);
    out.any = true;
    out.without_pin |= !pin;
    pin_alone |= pin && !online;
    neither |= !pin && !online;
  }
  out.first_without_pin = neither || (out.without_pin && !pin_alone);
  return out;
}

// TPMT_PUBLIC of the usual storage parent: P-256, AES-128-CFB.
TpmName name_of(const EcPoint& point) {
  ByteWriter area;
  area.bytes(from_hex("0023000b0003047200000006008000430010000300100020").value())
      .bytes(point.x)
      .u16(32)
      .bytes(point.y);
  TpmName name{0x00, 0x0b};
  const Digest digest = Sha256::of(area.view());
  std::copy(digest.begin(), digest.end(), name.begin() + 2);
  return name;
}

Bytes decrypt_cfb128(const Secret& key, ByteView message) {
  aes128_ctx cipher;
  aes128_set_encrypt_key(&cipher, key.view().data());
  ByteArray<AES_BLOCK_SIZE> iv{};
  Bytes out(message.size());
  cfb_decrypt(&cipher, reinterpret_cast<nettle_cipher_func*>(aes128_encrypt), iv.size(), iv.data(),
              out.size(), out.data(), message.data());
  return out;
}

// TPM 2.0 Part 2, "TPMT_SENSITIVE".
struct Sensitive {
  Bytes auth;
  Secret data_key;
};

// What the object keeps, if it is the one of `public_area`.
Result<Sensitive> read_sensitive(ByteView decrypted, ByteView public_area) {
  ByteReader in(decrypted);
  const std::uint16_t size = in.u16();
  if (size != in.remaining() || in.u16() != 8) return not_importable("sensitive");
  const ByteView auth = in.view(in.u16());
  const ByteView seed_value = in.view(in.u16());
  const ByteView data = in.view(in.u16());
  if (!in.at_end() || data.empty()) return not_importable("sensitive area");
  const Digest unique = Sha256::of(ByteWriter().bytes(seed_value).bytes(data).view());
  if (!same_bytes(unique, public_area.last(32))) return not_importable("unique");
  if (data.size() != data_key_size) return not_importable("the data key has another length");
  CKPTSEAL_ASSIGN(Secret data_key, Secret::copy_of(data));
  return Sensitive{{auth.begin(), auth.end()}, std::move(data_key)};
}

}  // namespace

SoftwareParentIdentity::SoftwareParentIdentity(Secret scalar, std::optional<Secret> pin)
    : scalar_(std::move(scalar)), pin_(std::move(pin)) {
  Result<EcPoint> point = p256_public_point(scalar_);
  if (!point.ok()) throw std::runtime_error(point.error().message);
  point_ = point.value();
  name_ = name_of(point_);
}

Status SoftwareParentIdentity::check_auth(const Policy& policy, bool asks_pin, ByteView auth,
                                          const CheckpointId& id) {
  if (auth.size() != (policy.has_pin() ? 32U : 0U)) return not_importable("the auth value");
  if (!asks_pin || !pin_) return {};
  CKPTSEAL_ASSIGN(const Secret right, pin_auth_value(*pin_, id));
  pin_refused_ = !same_bytes(auth, right.view());
  return pin_refused_ ? Status(wrong_pin()) : Status();
}

Result<std::optional<Secret>> SoftwareParentIdentity::unwrap(const SlotBody& slot,
                                                             const Checkpoint& of) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return std::optional<Secret>();
  const ByteView body(slot.bytes);
  if (body.size() >= 66 && !same_bytes(body.subspan(32, 34), name_)) {
    return std::optional<Secret>();
  }
  CKPTSEAL_ASSIGN(const Tpm2Slot parsed, Tpm2Slot::parse(slot.bytes, of));
  if (++tried_ > 64) return Error{Code::failed, "64 slots were tried", 0};
  const Ways ways = ways_of(parsed.policy, of);
  if (!ways.any) return Error{Code::policy, "it is for migration alone", 0};
  if (pin_refused_ && !ways.without_pin) return wrong_pin();
  const SealedObject& object = parsed.object;

  ByteReader seed_reader(object.seed);
  EcPoint ephemeral;
  if (seed_reader.u16() != 32) return not_importable("the point");
  ephemeral.x = seed_reader.array<32>();
  if (seed_reader.u16() != 32) return not_importable("the point");
  ephemeral.y = seed_reader.array<32>();
  if (!seed_reader.at_end()) return not_importable("the point");
  CKPTSEAL_ASSIGN(const Secret z, p256_shared_x(scalar_, ephemeral));
  CKPTSEAL_ASSIGN(const Secret seed, kdfe(z, "DUPLICATE", ephemeral.x, point_.x, 32));

  ByteWriter name;
  name.u16(0x000b).bytes(Sha256::of(object.public_area));
  CKPTSEAL_ASSIGN(const Secret storage, kdfa(seed, "STORAGE", name.view(), {}, 16));
  CKPTSEAL_ASSIGN(const Secret integrity, kdfa(seed, "INTEGRITY", {}, {}, 32));
  ByteReader in(object.duplicate);
  if (in.u16() != 32) return not_importable("the integrity value");
  const Digest mac = in.array<32>();
  if (!in.ok()) return not_importable("the integrity value");
  const Digest expected =
      hmac_sha256(integrity.view(), ByteWriter().bytes(in.rest()).bytes(name.view()).view());
  if (mac != expected) return not_importable("the integrity value does not fit");
  CKPTSEAL_ASSIGN(Sensitive sensitive,
                  read_sensitive(decrypt_cfb128(storage, in.rest()), object.public_area));
  const bool asks_pin = !ways.first_without_pin && !pin_refused_;
  const Status right = check_auth(parsed.policy, asks_pin, sensitive.auth, of.id);
  // A wrong PIN ends the ways that want one.
  if (!right.ok() && !(right.error().code == Code::policy && ways.without_pin)) {
    return right.error();
  }
  return std::optional<Secret>(std::move(sensitive.data_key));
}

}  // namespace ckptseal::test
