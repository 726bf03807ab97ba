// SPDX-License-Identifier: Apache-2.0
//
// Host records as bytes: the two protocol buffer messages of docs/host-record.md, "The file" and
// "The body", each with one encoding. Says nothing of signatures; hosts/host_record.h does.
#pragma once

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"
#include "hosts/host_record.h"

namespace ckptseal {

struct RecordEnvelope {
  Bytes body;  // an encoded HostRecord
  EcdsaSignature signature{};
};

Bytes encode_envelope(const RecordEnvelope& envelope);
Bytes encode_record_body(const HostRecord& record);

// Code::integrity when a rule is broken, with what is wrong. `what` names the record.
Result<RecordEnvelope> decode_envelope(ByteView bytes, const std::string& what);
Result<HostRecord> decode_record_body(ByteView body, const std::string& what);

}  // namespace ckptseal
