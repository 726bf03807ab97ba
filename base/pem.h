// SPDX-License-Identifier: Apache-2.0
//
// Strict PEM (RFC 7468): one block, 64 characters a line, LF, nothing around it. What is read is
// written the same way again, so a file of ours has one form only.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

// `label` is what stands behind BEGIN, for example "CKPT-SEAL HOST RECORD".
Result<std::string> pem_encode(const std::string& label, ByteView content);

// Code::integrity for anything but what pem_encode() writes under this label. `what` names the
// input in the error, for example "The host record x.record".
Result<Bytes> pem_decode(const std::string& label, ByteView text, const std::string& what);

}  // namespace ckptseal
