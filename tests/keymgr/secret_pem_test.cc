// SPDX-License-Identifier: Apache-2.0
//
// PEM of what is secret, held against that of what is not.
#include "keymgr/public_key/secret_pem.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/pem.h"
#include "public_key_support.h"

namespace ckptseal {
namespace {

using test::secret_of;

TEST(SecretPem, IsTheStrictForm) {
  for (std::size_t size = 1; size < 150; ++size) {
    const Secret content = random_secret(size).value();
    const Secret text = secret_pem_encode("A LABEL", content).value();
    EXPECT_EQ(as_text(text.view()), pem_encode("A LABEL", content.view()).value());
    const auto again = secret_pem_decode("A LABEL", text).value();
    ASSERT_TRUE(again) << size;
    EXPECT_TRUE(same_bytes(again->view(), content.view()));
    EXPECT_FALSE(secret_pem_decode("A LABE", text).value());
  }
}

// Bits of the last digit that stand for nothing could be anything.
TEST(SecretPem, UnusedBitsAreZero) {
  std::string text(as_text(secret_pem_encode("X", secret_of(Bytes(1, 0))).value().view()));
  const std::size_t at = text.find("AA==");
  ASSERT_NE(at, std::string::npos);
  text[at + 1] = 'B';
  EXPECT_FALSE(secret_pem_decode("X", secret_of(as_bytes(text))).value());
}

TEST(SecretPem, Base64MayHaveWhiteSpaceAndNothingElse) {
  const auto decoded = [](std::string_view text) {
    const auto out = decode_base64(text).value();
    return out ? std::string(as_text(out->view())) : std::string("none");
  };
  EXPECT_EQ(decoded("YWJj"), "abc");
  EXPECT_EQ(decoded(" Y\tWJj\r\nZA==\n"), "abcd");
  for (const std::string_view bad :
       {"", " ", "YWJ", "YWJjZ===", "=YWJ", "YW=J", "YWJ!", "YWJjZA"}) {
    EXPECT_EQ(decoded(bad), "none") << bad;
  }
}

}  // namespace
}  // namespace ckptseal
