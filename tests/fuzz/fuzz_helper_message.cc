// SPDX-License-Identifier: Apache-2.0
//
// proto/helper.proto, which a helper that a file took over could send: reads and writes again
// alike.
#include <string>
#include "fuzz.h"

#include "proto/helper.pb.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  proto::FromHelper message;
  if (message.ParseFromArray(data, static_cast<int>(size))) {
    const std::string once = message.SerializeAsString();
    proto::FromHelper again;
    require(again.ParseFromString(once) && again.SerializeAsString() == once);
  }
  proto::ToHelper answer;
  (void)answer.ParseFromArray(data, static_cast<int>(size));
  (void)input;
  return 0;
}
