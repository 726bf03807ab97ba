// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Threshold slot": one encoding, and shares of any number that are joined.
#include "fuzz.h"
#include "keymgr/threshold/threshold.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

// Opens a share whose body begins with an odd byte.
class OddIdentity : public Identity {
 public:
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint&) override {
    if (slot.bytes[0] % 2 == 0) return std::optional<Secret>();
    Result<Secret> value = Secret::copy_of(padded(slot.bytes, data_key_size));
    if (!value.ok()) return std::move(value).error();
    return std::optional<Secret>(std::move(value).value());
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<ThresholdSlot> slot = ThresholdSlot::parse(input);
  OddIdentity odd;
  const auto key = ThresholdIdentity({&odd}).unwrap({5, Bytes(input.begin(), input.end())}, {});
  if (!slot.ok()) {
    require(!key.ok() && key.error().code == Code::integrity);
    return 0;
  }
  require(same_bytes(slot.value().serialize(), input));
  require(key.ok() || key.error().code == Code::no_slot);
  return 0;
}
