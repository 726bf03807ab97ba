// SPDX-License-Identifier: Apache-2.0
//
// Whether a network namespace has rules of nftables. CRIU writes them into an image whose size it
// then looks at; a pipe has none, so from a stream they are gone.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace ckptseal {

// The name of a table in the namespace `fd` (of /proc/PID/ns/net), with '?' for what no terminal
// should see; nullopt when there is none but CRIU's own. Code::failed when it cannot be told.
Result<std::optional<std::string>> find_nftables_table(int fd);

}  // namespace ckptseal
