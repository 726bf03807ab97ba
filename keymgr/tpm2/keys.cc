// SPDX-License-Identifier: Apache-2.0
//
// docs/state.md, "tpm/keys", to the byte.
#include "keymgr/tpm2/keys.h"

#include <array>
#include <string_view>
#include <utility>

namespace ckptseal {
namespace {

constexpr std::string_view magic = "CKSKEYS1";
constexpr std::size_t largest_public = 512;
constexpr std::size_t largest_blob = 1024;

Error damaged() {
  return {Code::integrity,
          "The file tpm/keys of the state folder is damaged or of another version: run ckpt-seal "
          "provision, which finds the keys in the TPM again.",
          0};
}

void write_sized(ByteWriter& out, ByteView bytes) {
  out.u16(static_cast<std::uint16_t>(bytes.size())).bytes(bytes);
}

Result<ByteView> read_sized(ByteReader& in, std::size_t largest) {
  const std::size_t size = in.u16();
  if (size == 0 || size > largest) return damaged();
  const ByteView out = in.view(size);
  if (!in.ok()) return damaged();
  return out;
}

Result<TpmKey> read_key(ByteReader& in, KeyRole role) {
  TpmKey out;
  out.handle = in.u32();
  if (out.handle >> 24 != 0x81) return damaged();
  CKPTSEAL_ASSIGN(const ByteView area, read_sized(in, largest_public));
  Result<TpmPublic> parsed = TpmPublic::parse(area);
  if (!parsed.ok() || !parsed.value().require(role).ok()) return damaged();
  out.public_area = std::move(parsed).value();
  return out;
}

}  // namespace

Bytes TpmKeys::serialize() const {
  ByteWriter out;
  out.bytes(as_bytes(magic));
  for (const TpmKey* key : {&storage_parent, &attestation_key, &signing_key}) {
    out.u32(key->handle);
    write_sized(out, key->public_area.marshalled());
  }
  write_sized(out, storage_parent_blob);
  write_sized(out, signing_key_blob);
  out.u32(epoch_index);
  return out.take();
}

Result<TpmKeys> TpmKeys::parse(ByteView bytes) {
  ByteReader in(bytes);
  if (!same_bytes(in.view(magic.size()), as_bytes(magic))) return damaged();
  TpmKeys out;
  CKPTSEAL_ASSIGN(out.storage_parent, read_key(in, KeyRole::storage_parent));
  CKPTSEAL_ASSIGN(out.attestation_key, read_key(in, KeyRole::attestation_key));
  CKPTSEAL_ASSIGN(out.signing_key, read_key(in, KeyRole::signing_key));
  CKPTSEAL_ASSIGN(const ByteView parent_blob, read_sized(in, largest_blob));
  CKPTSEAL_ASSIGN(const ByteView signing_blob, read_sized(in, largest_blob));
  out.storage_parent_blob.assign(parent_blob.begin(), parent_blob.end());
  out.signing_key_blob.assign(signing_blob.begin(), signing_blob.end());
  out.epoch_index = in.u32();
  if (!in.at_end() || out.epoch_index >> 24 != 0x01) return damaged();
  return out;
}

}  // namespace ckptseal
