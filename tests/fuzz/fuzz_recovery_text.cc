// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Recovery key slot", "On paper": what is taken has the digits of the key that it
// is taken for, and every error is one of use.
#include <algorithm>
#include <iterator>

#include "fuzz.h"
#include "keymgr/recovery/recovery_key.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

Bytes digits_in(ByteView text) {
  Bytes out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out),
               [](std::uint8_t c) { return c >= '0' && c <= '9'; });
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<Secret> key = parse_recovery_text(input);
  if (!key.ok()) {
    require(key.error().code == Code::usage);
    return 0;
  }
  const Result<Secret> text = recovery_text(key.value());
  require(text.ok() && digits_in(text.value().view()) == digits_in(input));
  return 0;
}
