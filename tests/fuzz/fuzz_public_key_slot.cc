// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Public key slot".
#include <algorithm>

#include "fuzz.h"
#include "keymgr/public_key/identity.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

// Answers whatever it is asked with what no ciphertext was made for.
class SomeAnswer : public PrivateKeyOperation {
 public:
  Result<std::optional<Secret>> apply(ByteView input) override {
    require(input.size() == 32);
    return std::optional<Secret>(Secret::copy_of(input).value());
  }
};

PublicKey some_key() {
  return PublicKey::from_point(KeyAlgorithm::x25519, Bytes(32, 9), "The key").value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<PublicKeySlot> slot = PublicKeySlot::parse(input);
  if (slot.ok()) require(same_bytes(slot.value().serialize(), input));

  // The same for its own key, or it would be skipped.
  static PublicKeyIdentity identity(some_key(), std::make_unique<SomeAnswer>());
  Bytes own(input.begin(), input.end());
  const KeyId& id = identity.key().id();
  if (own.size() >= 34) std::copy(id.begin(), id.end(), own.begin() + 2);
  const Result<std::optional<Secret>> key = identity.unwrap({3, own}, Checkpoint{});
  require(own.size() < 34 ? key.ok() && !key.value() : !key.ok());
  return 0;
}
