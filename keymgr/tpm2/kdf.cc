// SPDX-License-Identifier: Apache-2.0
//
// KDFa and KDFe, over base/crypto.h.
#include "keymgr/tpm2/kdf.h"

#include <algorithm>
#include <stdexcept>

#include "base/crypto.h"

namespace ckptseal {
namespace {

constexpr std::uint32_t first_block = 1;

// Moves a derived block into a Secret and leaves nothing behind.
Result<Secret> keep(Digest& block, std::size_t size) {
  Result<Secret> out = Secret::copy_of(ByteView(block).first(size));
  wipe(block);
  return out;
}

void require_one_block(std::size_t size) {
  if (size == 0 || size > Digest().size()) throw std::logic_error("KDF: more than one block");
}

}  // namespace

Result<Secret> kdfa(const Secret& key, std::string_view label, ByteView context_u,
                    ByteView context_v, std::size_t size) {
  require_one_block(size);
  ByteWriter message;
  message.u32(first_block).bytes(as_bytes(label)).u8(0).bytes(context_u).bytes(context_v);
  message.u32(static_cast<std::uint32_t>(size * 8));
  Digest block = hmac_sha256(key.view(), message.view());
  return keep(block, size);
}

Result<Secret> kdfe(const Secret& z, std::string_view label, ByteView party_u, ByteView party_v,
                    std::size_t size) {
  require_one_block(size);
  ByteWriter info;
  info.bytes(as_bytes(label)).u8(0).bytes(party_u).bytes(party_v);
  // One contiguous message: a hash that is fed in parts keeps some of them in its own buffer.
  CKPTSEAL_ASSIGN(Secret message, Secret::make(4 + z.size() + info.size()));
  const MutableByteView out = message.mutable_view();
  out[3] = first_block;
  std::copy(z.view().begin(), z.view().end(), out.begin() + 4);
  const ByteView tail = info.view();
  std::copy(tail.begin(), tail.end(), out.begin() + 4 + static_cast<std::ptrdiff_t>(z.size()));
  Digest block = Sha256::of(message.view());
  return keep(block, size);
}

}  // namespace ckptseal
