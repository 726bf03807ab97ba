// SPDX-License-Identifier: Apache-2.0
//
// Whose slots --remove takes out of a file.
#pragma once

#include <string>

#include "cli/host_access.h"
#include "sealing/header_change.h"

namespace ckptseal {

// The slots that `name` stands for: the number of one; passphrase; recovery; the identity of
// a host or the id of a key; a pkcs11: URI, whose token is asked in the helper; or what
// names a recipient. Code::usage for what cannot be a slot.
Result<SlotRemoval> slots_named(const HostAccess& host, const std::string& name);

}  // namespace ckptseal
