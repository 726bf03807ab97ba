// SPDX-License-Identifier: Apache-2.0
//
// Whether AddressSanitizer is in the program: it takes memory of its own, does not lock any, and keeps
// freed memory, so tests of just that skip themselves.
#pragma once

namespace ckptseal::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_address_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool under_address_sanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool under_address_sanitizer = false;
#endif

}  // namespace ckptseal::test
