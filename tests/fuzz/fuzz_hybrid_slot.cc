// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Hybrid public key slot".
#include <algorithm>

#include "fuzz.h"
#include "keymgr/public_key/hybrid_key.h"
#include "keymgr/public_key/secret_pem.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

HybridIdentity some_identity() {
  const Secret both = Secret::copy_of(Bytes(96, 9)).value();
  const Secret pem = secret_pem_encode(std::string(hybrid_private_label), both).value();
  return HybridIdentity::from_file(pem, "The key file").value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<HybridSlot> slot = HybridSlot::parse(input);
  static const Secret shared = Secret::copy_of(Bytes(32, 7)).value();
  if (slot.ok()) {
    require(same_bytes(slot.value().serialize(), input));
    require(slot.value().key_id == hybrid_key_id_of(input));
    const auto opened = slot.value().decrypt(shared, shared, {});
    require(opened.ok() && !opened.value());
  } else {
    require(slot.error().code == Code::integrity);
  }

  // The same for its own key, or it would be skipped; without ML-KEM nothing is its own.
  static HybridIdentity identity = some_identity();
  Bytes own(input.begin(), input.end());
  if (identity.key() && own.size() >= 32) {
    std::copy(identity.key()->id().begin(), identity.key()->id().end(), own.begin());
  }
  const auto key = identity.unwrap({6, own}, Checkpoint{});
  require(key.ok() == (own.size() < 32));
  require(key.ok() || key.error().code == (identity.key() ? Code::integrity : Code::no_slot));
  return 0;
}
