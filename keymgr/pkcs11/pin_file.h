// SPDX-License-Identifier: Apache-2.0
//
// A PIN in a file, as pin-source of a URI names it.
#pragma once

#include <string>

#include "base/secret.h"
#include "keymgr/pkcs11/token_key.h"

namespace ckptseal {

// The first line, without its end. Code::integrity when there is none; `path` is for messages.
Result<Secret> read_pin(int fd, const std::string& path);

// For a token of which nobody at hand is asked: reads the file that the URI names, or fails with
// Code::usage when it names none.
AskPin pin_of(const TokenUri& uri);

}  // namespace ckptseal
