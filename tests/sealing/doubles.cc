// SPDX-License-Identifier: Apache-2.0
//
// The data key XOR HMAC(word, id), with a check that tells whose slot it is.
#include "doubles.h"

namespace ckptseal::test {
namespace {

constexpr std::size_t body_size = 64;

ByteArray<32> pad_of(const std::string& word, const CheckpointId& id) {
  return hmac_sha256(as_bytes(word), id);
}

bool is_double(const SlotBody& slot) {
  return (slot.kind == double_kind || slot.kind == exclusive_double_kind) &&
         slot.bytes.size() == body_size;
}

}  // namespace

bool is_slot_of(const SlotBody& slot, const std::string& word) {
  return is_double(slot) && same_bytes(ByteView(slot.bytes).first(32), Sha256::of(as_bytes(word)));
}

Result<SlotBody> DoubleRecipient::wrap(const Secret& data_key, const Checkpoint& of) {
  ByteWriter out;
  out.bytes(Sha256::of(as_bytes(word_)));
  const ByteArray<32> pad = pad_of(word_, of.id);
  for (std::size_t i = 0; i < pad.size(); ++i) {
    out.u8(static_cast<std::uint8_t>(data_key.view()[i] ^ pad[i]));
  }
  return SlotBody{kind_, out.take()};
}

bool DoubleRecipient::owns(const SlotBody& slot) const { return is_slot_of(slot, word_); }

Result<std::optional<Secret>> DoubleIdentity::unwrap(const SlotBody& slot, const Checkpoint& of) {
  if (!is_slot_of(slot, word_)) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(Secret key, Secret::copy_of(ByteView(slot.bytes).last(32)));
  const ByteArray<32> pad = pad_of(word_, of.id);
  for (std::size_t i = 0; i < pad.size(); ++i) key.mutable_view()[i] ^= pad[i];
  return std::optional<Secret>(std::move(key));
}

Result<std::optional<Secret>> FailingIdentity::unwrap(const SlotBody& slot, const Checkpoint&) {
  if (word_.empty() ? !is_double(slot) : !is_slot_of(slot, word_)) return std::optional<Secret>();
  if (!message_.empty()) return Error{code_, message_, 0};
  return Error{code_, "it fails as it was asked to: " + std::string(reason_word(code_)), 0};
}

Result<std::optional<Secret>> WrongKeyIdentity::unwrap(const SlotBody& slot, const Checkpoint&) {
  if (!is_slot_of(slot, word_)) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(Secret key, Secret::copy_of(Bytes(size_, 0x5a)));
  return std::optional<Secret>(std::move(key));
}

Result<std::optional<Secret>> WatchedIdentity::unwrap(const SlotBody& slot, const Checkpoint& of) {
  asked_.push_back(slot);
  return inner_->unwrap(slot, of);
}

Recipients recipients_for(const std::vector<std::string>& words, std::uint16_t kind) {
  Recipients out;
  for (const std::string& word : words) {
    out.push_back(std::make_unique<DoubleRecipient>(word, kind));
  }
  return out;
}

Identities identities_for(const std::vector<std::string>& words) {
  Identities out;
  for (const std::string& word : words) out.push_back(std::make_unique<DoubleIdentity>(word));
  return out;
}

DoubleOrigin::DoubleOrigin(std::string name, Seconds expires) {
  const EcPoint& point = key_.point();
  trusted_.identity = Sha256::of(ByteWriter().bytes(point.x).bytes(point.y).view());
  trusted_.name = std::move(name);
  trusted_.keys = {{point, expires}};
}

}  // namespace ckptseal::test
