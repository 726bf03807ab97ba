// SPDX-License-Identifier: Apache-2.0
//
// HKDF with the labels of docs/format.md, "Keys".
#include "sealing/file_keys.h"

#include <algorithm>

namespace ckptseal {

Result<Digest> commit_to_key(const Secret& data_key, const CheckpointId& id) {
  CKPTSEAL_ASSIGN(const Secret prk, hkdf_extract(id, data_key.view()));
  CKPTSEAL_ASSIGN(const Secret commitment,
                  hkdf_expand(prk, as_bytes("ckpt-seal/v1/commitment"), 32));
  Digest out{};
  std::copy(commitment.view().begin(), commitment.view().end(), out.begin());
  return out;
}

Result<FileKeys> FileKeys::derive(const Secret& data_key, ByteView immutable_bytes) {
  CKPTSEAL_ASSIGN(Secret prk, hkdf_extract(Sha256::of(immutable_bytes), data_key.view()));
  CKPTSEAL_ASSIGN(Secret header_key, hkdf_expand(prk, as_bytes("ckpt-seal/v1/header"), 32));
  CKPTSEAL_ASSIGN(Secret manifest_key, hkdf_expand(prk, as_bytes("ckpt-seal/v1/manifest"), 32));
  return FileKeys(std::move(prk), std::move(header_key), std::move(manifest_key));
}

Result<Secret> FileKeys::image_key(std::uint32_t number) const {
  ByteWriter info;
  info.bytes(as_bytes("ckpt-seal/v1/image")).u32(number);
  return hkdf_expand(prk_, info.view(), 32);
}

}  // namespace ckptseal
