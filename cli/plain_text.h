// SPDX-License-Identifier: Apache-2.0
//
// Names of files and what others wrote come into sentences, and a terminal obeys some characters.
#pragma once

#include <string>

namespace ckptseal {

// Each of U+0000 to U+001F and U+007F to U+009F is '?'; what is no UTF-8 stays as it is.
std::string without_controls(const std::string& text);

}  // namespace ckptseal
