// SPDX-License-Identifier: Apache-2.0
//
// PEM (RFC 7468) of what is secret: base/pem.h and OpenSSL's reader leave pieces of it in memory.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace ckptseal {

// Base64 with white space anywhere; nullopt for anything else, and for nothing.
Result<std::optional<Secret>> decode_base64(std::string_view text);

// One block of the strict form, as in base/pem.h. `content` is not empty.
Result<Secret> secret_pem_encode(const std::string& label, const Secret& content);
// nullopt for anything but what secret_pem_encode() writes under this label.
Result<std::optional<Secret>> secret_pem_decode(const std::string& label, const Secret& text);

}  // namespace ckptseal
