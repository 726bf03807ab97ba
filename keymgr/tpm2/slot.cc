// SPDX-License-Identifier: Apache-2.0
//
// TPM slots: their encoding, and the way from a data key to a sealed object and back.
#include "keymgr/tpm2/slot.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace ckptseal {
namespace {

constexpr std::uint8_t policy_form_pcr = 1;

// Of the one kind of object that seal_to_parent makes from a data key. A TPM ignores what stands
// behind these structures, so whoever reads a slot has to look.
constexpr std::size_t public_size = 78;
constexpr std::size_t duplicate_size = 108;
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

// The slot's own words about the policy must be the policy: they are what a user is told.
Status check_policy(const Tpm2Slot& slot) {
  CKPTSEAL_ASSIGN(const Digest policy, auth_policy_of(slot.object));
  if (policy != policy_pcr(slot.pcrs.selection, slot.pcrs.digest())) {
    return damaged("names other PCR values than its key demands");
  }
  return {};
}

std::string list_pcrs(const std::vector<unsigned>& pcrs) {
  std::string out = "PCR ";
  for (std::size_t i = 0; i < pcrs.size(); ++i) {
    if (i > 0) out += i + 1 == pcrs.size() ? " and " : ", ";
    const std::string_view purpose = pcr_purpose(pcrs[i]);
    out += purpose.empty() ? fmt::format("{}", pcrs[i]) : fmt::format("{} ({})", pcrs[i], purpose);
  }
  return out + (pcrs.size() == 1 ? " differs" : " differ");
}

}  // namespace

Bytes Tpm2Slot::serialize() const {
  ByteWriter out;
  out.bytes(recipient).bytes(parent).u8(policy_form_pcr).u32(pcrs.selection.mask());
  for (const Digest& value : pcrs.values) out.bytes(value);
  put_sized(out, object.public_area);
  put_sized(out, object.duplicate);
  put_sized(out, object.seed);
  return out.take();
}

Result<Tpm2Slot> Tpm2Slot::parse(ByteView body) {
  ByteReader in(body);
  Tpm2Slot out;
  out.recipient = in.array<32>();
  out.parent = in.array<34>();
  const std::uint8_t form = in.u8();
  const std::uint32_t mask = in.u32();
  if (!in.ok()) return damaged("is cut short");
  if (form != policy_form_pcr) {
    return Error{Code::integrity,
                 fmt::format("A TPM slot of this file has a policy of form {}, which needs a newer "
                             "ckpt-seal: update it.",
                             form),
                 0};
  }
  const Result<PcrSelection> selection = PcrSelection::of_mask(mask);
  if (!selection.ok()) return damaged("selects no possible set of PCRs");
  out.pcrs.selection = selection.value();
  for (std::size_t i = 0; i < out.pcrs.selection.size(); ++i) {
    out.pcrs.values.push_back(in.array<32>());
  }
  out.object.public_area = take_sized(in, public_size);
  out.object.duplicate = take_sized(in, duplicate_size);
  out.object.seed = take_sized(in, seed_size);
  if (!in.at_end() || out.object.public_area.empty() || out.object.duplicate.empty() ||
      out.object.seed.empty()) {
    return damaged("has parts of a wrong length");
  }
  CKPTSEAL_TRY(check_policy(out));
  return out;
}

Tpm2Recipient::Tpm2Recipient(TpmPublic parent, PcrValues pcrs, const Digest& record_fingerprint)
    : parent_(std::move(parent)), pcrs_(std::move(pcrs)), record_fingerprint_(record_fingerprint) {}

Result<SlotBody> Tpm2Recipient::wrap(const Secret& data_key, const CheckpointId& /*id*/) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  if (pcrs_.values.empty() || pcrs_.values.size() != pcrs_.selection.size()) {
    return Error{Code::integrity,
                 "A host record names no value for each of its PCRs: get the record again from its "
                 "host.",
                 0};
  }
  Tpm2Slot slot;
  slot.recipient = record_fingerprint_;
  slot.parent = parent_.name();
  slot.pcrs = pcrs_;
  const Digest policy = policy_pcr(pcrs_.selection, pcrs_.digest());
  CKPTSEAL_ASSIGN(slot.object, seal_to_parent(parent_, policy, data_key));
  return SlotBody{static_cast<std::uint16_t>(SlotKind::tpm2), slot.serialize()};
}

bool Tpm2Recipient::owns(const SlotBody& slot) const {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return false;
  const Result<Tpm2Slot> parsed = Tpm2Slot::parse(slot.bytes);
  return parsed.ok() && parsed.value().recipient == record_fingerprint_;
}

Result<std::optional<Secret>> Tpm2Identity::unwrap(const SlotBody& slot,
                                                   const CheckpointId& /*id*/) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return std::optional<Secret>();
  // Whose it is comes first: another host's slot may be of a form that this version cannot read.
  ByteReader in(slot.bytes);
  in.array<32>();
  const TpmName parent = in.array<34>();
  if (in.ok() && parent != parent_) return std::optional<Secret>();

  CKPTSEAL_ASSIGN(const Tpm2Slot parsed, Tpm2Slot::parse(slot.bytes));
  Result<Secret> unsealed = tpm_.unseal(parsed.object, parsed.pcrs.selection);
  if (!unsealed.ok()) {
    if (unsealed.error().code != Code::policy) return std::move(unsealed).error();
    return explain(parsed, std::move(unsealed).error());
  }
  if (unsealed.value().size() != data_key_size) return damaged("holds no data key");
  return std::optional<Secret>(std::move(unsealed).value());
}

Error Tpm2Identity::explain(const Tpm2Slot& slot, Error refusal) {
  const Result<PcrValues> current = tpm_.read_pcrs(slot.pcrs.selection);
  if (!current.ok()) return refusal;
  const std::vector<unsigned> pcrs = slot.pcrs.differing(current.value());
  if (pcrs.empty()) {
    refusal.message =
        "The TPM refused the state of this host, which by now is the approved one: try again.";
    return refusal;
  }
  refusal.message = fmt::format(
      "This host is not in the state that the file was sealed for: {}; boot the approved state, or "
      "open the file with its recovery passphrase.",
      list_pcrs(pcrs));
  return refusal;
}

}  // namespace ckptseal
