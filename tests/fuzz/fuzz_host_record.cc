// SPDX-License-Identifier: Apache-2.0
//
// docs/host-record.md: the file as received, and its two messages behind PEM and signature.
#include "fuzz.h"
#include "hosts/host_record.h"
#include "hosts/host_record_wire.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const Result<SignedHostRecord> record = read_host_record(input, 2000, "The record");
  if (record.ok()) require(same_bytes(as_bytes(record.value().pem()), input));
  const Result<RecordEnvelope> envelope = decode_envelope(input, "The record");
  if (envelope.ok()) require(same_bytes(encode_envelope(envelope.value()), input));
  const Result<HostRecord> body = decode_record_body(input, "The record");
  if (body.ok()) require(same_bytes(encode_record_body(body.value()), input));
  return 0;
}
