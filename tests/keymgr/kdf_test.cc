// SPDX-License-Identifier: Apache-2.0
//
// KDFa and KDFe against the formulas of TPM 2.0 Part 1, computed with Python's hmac and hashlib:
//   hmac.new(key, b"\0\0\0\1" + label + b"\0" + u + v + bits.to_bytes(4, "big"), "sha256")
//   hashlib.sha256(b"\0\0\0\1" + z + label + b"\0" + u + v)
#include "keymgr/tpm2/kdf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/crypto.h"
#include "policies/tpm_public.h"

namespace ckptseal {
namespace {

Secret counting_from(std::uint8_t first) {
  Secret out = Secret::make(32).value();
  std::iota(out.mutable_view().begin(), out.mutable_view().end(), first);
  return out;
}

TpmName a_name() {
  TpmName out{0x00, 0x0b};
  const Digest digest = Sha256::of(as_bytes("name"));
  std::copy(digest.begin(), digest.end(), out.begin() + 2);
  return out;
}

TEST(Kdfa, KnownAnswers) {
  const Secret key = counting_from(0);
  EXPECT_EQ(to_hex(kdfa(key, "STORAGE", a_name(), {}, 16).value().view()),
            "caf1365cb7c94a66c6ab4a93ddbe1f64");
  EXPECT_EQ(to_hex(kdfa(key, "INTEGRITY", {}, {}, 32).value().view()),
            "bacf689f634ece301e1f1b15b072d9c87db6a69585db42b1a0cb8f73ebe2692e");
  EXPECT_EQ(to_hex(kdfa(key, "X", as_bytes("uu"), as_bytes("vvv"), 32).value().view()),
            "62365cbc4eb00d484ebf3e7c582cdaddb8a2c76bee8244937be3c8e18a6c8f24");
}

TEST(Kdfa, TheSizeIsPartOfTheKey) {
  const Secret key = counting_from(0);
  const Secret whole = kdfa(key, "STORAGE", a_name(), {}, 32).value();
  const Secret half = kdfa(key, "STORAGE", a_name(), {}, 16).value();
  EXPECT_NE(to_hex(whole.view().first(16)), to_hex(half.view()));
}

TEST(Kdfe, KnownAnswer) {
  const Bytes u(32, 0x11);
  const Bytes v(32, 0x22);
  EXPECT_EQ(to_hex(kdfe(counting_from(32), "DUPLICATE", u, v, 32).value().view()),
            "13efdf21b07a33a99cc4c2cf6f8c758e29e47edb3ce33a665cd610f91b3d04cb");
  EXPECT_EQ(to_hex(kdfe(counting_from(32), "DUPLICATE", u, v, 16).value().view()),
            "13efdf21b07a33a99cc4c2cf6f8c758e");
  EXPECT_NE(to_hex(kdfe(counting_from(32), "DUPLICATE", v, u, 32).value().view()),
            "13efdf21b07a33a99cc4c2cf6f8c758e29e47edb3ce33a665cd610f91b3d04cb");
}

TEST(Kdf, MoreThanOneBlockIsABug) {
  EXPECT_THROW((void)kdfa(counting_from(0), "X", {}, {}, 33), std::logic_error);
  EXPECT_THROW((void)kdfe(counting_from(0), "X", {}, {}, 0), std::logic_error);
}

}  // namespace
}  // namespace ckptseal
