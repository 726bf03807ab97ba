// SPDX-License-Identifier: Apache-2.0
//
// The data key XOR HMAC(word, id), with a check that tells whose slot it is.
#include "doubles.h"

namespace ckptseal::test {
namespace {

ByteArray<32> pad_of(const std::string& word, const CheckpointId& id) {
  return hmac_sha256(as_bytes(word), id);
}

}  // namespace

Result<SlotBody> DoubleRecipient::wrap(const Secret& data_key, const Checkpoint& of) {
  ByteWriter out;
  out.bytes(Sha256::of(as_bytes(word_)));
  const ByteArray<32> pad = pad_of(word_, of.id);
  for (std::size_t i = 0; i < pad.size(); ++i) {
    out.u8(static_cast<std::uint8_t>(data_key.view()[i] ^ pad[i]));
  }
  return SlotBody{double_kind, out.take()};
}

Result<std::optional<Secret>> DoubleIdentity::unwrap(const SlotBody& slot, const Checkpoint& of) {
  if (slot.kind != double_kind || slot.bytes.size() != 64) return std::optional<Secret>();
  const ByteView bytes(slot.bytes);
  if (!same_bytes(bytes.first(32), Sha256::of(as_bytes(word_)))) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(Secret key, Secret::copy_of(bytes.last(32)));
  const ByteArray<32> pad = pad_of(word_, of.id);
  for (std::size_t i = 0; i < pad.size(); ++i) key.mutable_view()[i] ^= pad[i];
  return std::optional<Secret>(std::move(key));
}

Result<std::optional<Secret>> FailingIdentity::unwrap(const SlotBody& slot, const Checkpoint&) {
  if (slot.kind != double_kind) return std::optional<Secret>();
  return Error{code_, "it fails as it was asked to", 0};
}

Recipients recipients_for(const std::vector<std::string>& words) {
  Recipients out;
  for (const std::string& word : words) out.push_back(std::make_unique<DoubleRecipient>(word));
  return out;
}

Identities identities_for(const std::vector<std::string>& words) {
  Identities out;
  for (const std::string& word : words) out.push_back(std::make_unique<DoubleIdentity>(word));
  return out;
}

DoubleOrigin::DoubleOrigin(std::string name) {
  const EcPoint& point = key_.point();
  trusted_.identity = Sha256::of(ByteWriter().bytes(point.x).bytes(point.y).view());
  trusted_.name = std::move(name);
  trusted_.keys = {{point}};
}

}  // namespace ckptseal::test
