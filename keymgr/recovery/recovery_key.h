// SPDX-License-Identifier: Apache-2.0
//
// The key that opens when every TPM and token is gone, and how it stands on paper: 48 digits that
// say where they were copied wrongly. docs/format.md, "Recovery key slot"; docs/recovery.md.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace ckptseal {

inline constexpr std::size_t recovery_key_size = 16;
using RecoveryId = ByteArray<8>;

struct RecoveryKey {
  RecoveryId id{};  // no secret: names the paper
  Secret key;       // recovery_key_size bytes

  static Result<RecoveryKey> generate();
};

// 8 groups of 6 digits, joined by '-'. Code::failed for a key of another size.
Result<Secret> recovery_text(const Secret& key);

// The key that stands in `text`. Code::usage for anything but 48 digits whose groups are sound,
// with spaces, tabs, line ends and '-' anywhere between them; the error names the group.
Result<Secret> parse_recovery_text(ByteView text);

}  // namespace ckptseal
