// SPDX-License-Identifier: Apache-2.0
//
// TPM slots: their encoding, and the way from a data key to a sealed object.
#include "keymgr/tpm2/slot.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

constexpr std::uint8_t form_pcrs = 1;
constexpr std::uint8_t form_any = 2;

// Of the one kind of object that seal_to_parent makes from a data key. A TPM ignores what stands
// behind these structures, so whoever reads a slot has to look.
constexpr std::size_t public_size = 78;
constexpr std::size_t duplicate_size = 108;
constexpr std::size_t auth_size = 32;
constexpr std::size_t seed_size = 68;

Error damaged(std::string_view what) {
  return {Code::integrity,
          fmt::format("A TPM slot of this file {}: the file is damaged or altered, so use another "
                      "copy.",
                      what),
          0};
}

void put_sized(ByteWriter& out, ByteView bytes) {
  out.u16(static_cast<std::uint16_t>(bytes.size())).bytes(bytes);
}

// Empty when its length is not `size`.
Bytes take_sized(ByteReader& in, std::size_t size) {
  if (in.u16() != size) return {};
  const ByteView bytes = in.view(size);
  return {bytes.begin(), bytes.end()};
}

// The PCRs of a policy that is nothing else, which has a form of its own.
const PcrValues* only_pcrs(const Policy& policy) {
  if (policy.terms.size() != 1) return nullptr;
  const auto* term = std::get_if<PcrTerm>(&policy.terms.front());
  return term == nullptr ? nullptr : &term->pcrs;
}

void write_policy(ByteWriter& out, const Policy& policy) {
  const PcrValues* pcrs = only_pcrs(policy);
  if (pcrs == nullptr) {
    out.u8(form_any);
    put_sized(out, policy.serialize());
    return;
  }
  out.u8(form_pcrs).u32(pcrs->selection.mask());
  for (const Digest& value : pcrs->values) out.bytes(value);
}

Result<Policy> read_pcrs(ByteReader& in) {
  const Result<PcrSelection> selection = PcrSelection::of_mask(in.u32());
  if (!selection.ok()) return damaged("selects no possible set of PCRs");
  PcrTerm term{{selection.value(), {}}};
  for (std::size_t i = 0; i < selection.value().size(); ++i) {
    term.pcrs.values.push_back(in.array<32>());
  }
  return Policy{{std::move(term)}};
}

Result<Policy> read_policy(ByteReader& in) {
  const std::uint8_t form = in.u8();
  if (!in.ok()) return damaged("is cut short");
  if (form == form_pcrs) return read_pcrs(in);
  if (form != form_any) {
    return Error{Code::no_slot,
                 fmt::format("A TPM slot of this file has a policy of form {}, which needs a newer "
                             "ckpt-seal: update it.",
                             form),
                 0};
  }
  const std::size_t length = in.u16();
  CKPTSEAL_ASSIGN(Policy policy, Policy::parse(in.view(length)));
  if (only_pcrs(policy) != nullptr) return damaged("has its policy in another form than the one");
  return policy;
}

// The slot's own words about the policy must be the policy: they are what a user is told.
Status check_object(const Tpm2Slot& slot, const Checkpoint& of) {
  CKPTSEAL_ASSIGN(const ObjectPolicy object, policy_of(slot.object));
  if (object.auth_policy != policy_digest(slot.policy, of)) {
    return damaged("names another policy than its key demands");
  }
  if (object.locks != slot.policy.has_pin()) return damaged("does not guard its PIN");
  if (of.exclusive && slot.policy.can_migrate()) return damaged("may migrate, and is exclusive");
  return {};
}

}  // namespace

Bytes Tpm2Slot::serialize() const {
  ByteWriter out;
  out.bytes(recipient).bytes(parent);
  write_policy(out, policy);
  put_sized(out, object.public_area);
  put_sized(out, object.duplicate);
  put_sized(out, object.seed);
  return out.take();
}

Result<Tpm2Slot> Tpm2Slot::parse(ByteView body, const Checkpoint& of) {
  ByteReader in(body);
  Tpm2Slot out;
  out.recipient = in.array<32>();
  out.parent = in.array<34>();
  CKPTSEAL_ASSIGN(out.policy, read_policy(in));
  const std::size_t pin_size = out.policy.has_pin() ? auth_size : 0;
  out.object.public_area = take_sized(in, public_size);
  out.object.duplicate = take_sized(in, duplicate_size + pin_size);
  out.object.seed = take_sized(in, seed_size);
  if (!in.at_end() || out.object.public_area.empty() || out.object.duplicate.empty() ||
      out.object.seed.empty()) {
    return damaged("has parts of a wrong length");
  }
  CKPTSEAL_TRY(check_object(out, of));
  return out;
}

std::optional<Digest> Tpm2Slot::recipient_of(ByteView body) {
  ByteReader in(body);
  const Digest recipient = in.array<32>();
  return in.ok() ? std::optional<Digest>(recipient) : std::nullopt;
}

std::optional<TpmName> Tpm2Slot::parent_of(ByteView body) {
  ByteReader in(body);
  in.array<32>();
  const TpmName parent = in.array<34>();
  return in.ok() ? std::optional<TpmName>(parent) : std::nullopt;
}

Result<Secret> pin_auth_value(const Secret& pin, const CheckpointId& id) {
  CKPTSEAL_ASSIGN(const Secret extracted, hkdf_extract(id, pin.view()));
  CKPTSEAL_ASSIGN(Secret out, hkdf_expand(extracted, as_bytes("ckpt-seal/v1/pin"), auth_size));
  if (out.view().back() == 0) out.mutable_view().back() = 1;
  return out;
}

Tpm2Recipient::Tpm2Recipient(TpmPublic parent, Policy policy, const Digest& host,
                             std::shared_ptr<const Secret> pin)
    : parent_(std::move(parent)), policy_(std::move(policy)), host_(host), pin_(std::move(pin)) {}

Result<SlotBody> Tpm2Recipient::wrap(const Secret& data_key, const Checkpoint& of) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  CKPTSEAL_TRY(policy_.check());
  if (of.exclusive && policy_.can_migrate()) {
    return Error{
        Code::usage,
        "An exclusive file stays with one host, and its policy has a branch for migration: "
        "take another policy, or leave --exclusive out.",
        0};
  }
  if (policy_.has_pin() != (pin_ != nullptr)) {
    return Error{Code::failed, "A policy and its PIN do not belong together: report this bug.", 0};
  }
  std::optional<Secret> auth;
  if (pin_) {
    CKPTSEAL_ASSIGN(auth, pin_auth_value(*pin_, of.id));
  }
  Tpm2Slot slot;
  slot.recipient = host_;
  slot.parent = parent_.name();
  slot.policy = policy_;
  CKPTSEAL_ASSIGN(slot.object, seal_to_parent(parent_, policy_digest(policy_, of), data_key,
                                              auth ? &*auth : nullptr));
  return SlotBody{static_cast<std::uint16_t>(SlotKind::tpm2), slot.serialize()};
}

bool Tpm2Recipient::owns(const SlotBody& slot) const {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return false;
  ByteWriter start;
  start.bytes(host_).bytes(parent_.name());
  write_policy(start, policy_);
  const Bytes own = start.take();
  return slot.bytes.size() > own.size() && std::equal(own.begin(), own.end(), slot.bytes.begin());
}

}  // namespace ckptseal
