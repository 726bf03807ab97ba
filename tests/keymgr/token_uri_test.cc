// SPDX-License-Identifier: Apache-2.0
#include "keymgr/pkcs11/token_uri.h"

#include <gtest/gtest.h>

namespace ckptseal {
namespace {

TEST(TokenUri, SaysWhoAndWhichModule) {
  const auto uri = TokenUri::parse("pkcs11:token=a%20b;object=k?module-path=/lib/m.so");
  ASSERT_TRUE(uri.ok()) << uri.error().message;
  EXPECT_EQ(uri.value().name(), "pkcs11:token=a%20b;object=k");
  EXPECT_EQ(uri.value().module(), "/lib/m.so");
  EXPECT_EQ(uri.value().pin_file(), "");
}

TEST(TokenUri, AModulesNameIsAFileInItsFolder) {
  const auto uri = TokenUri::parse("pkcs11:token=a?module-name=softhsm2");
  ASSERT_TRUE(uri.ok()) << uri.error().message;
  EXPECT_EQ(uri.value().module(), "libsofthsm2.so");
}

TEST(TokenUri, PinSourcesAreFiles) {
  for (const char* source : {"/a/b", "file:/a/b", "file:///a/b", "file:%2Fa/b"}) {
    const auto uri =
        TokenUri::parse(std::string("pkcs11:token=a?module-path=/m.so&pin-source=") + source);
    ASSERT_TRUE(uri.ok()) << source << ": " << uri.error().message;
    EXPECT_EQ(uri.value().pin_file(), "/a/b") << source;
  }
}

TEST(TokenUri, WhatIsRefusedSaysNothingOfAPin) {
  const std::string module = "?module-path=/m.so";
  for (const std::string& text :
       {std::string(), std::string("pkcs11"), std::string("pkcs11:"), std::string("pkcs12:token=a"),
        "pkcs11:token" + module, "pkcs11:token=%zz" + module, "pkcs11:token=a;colour=b" + module,
        std::string("pkcs11:token=a"), std::string("pkcs11:token=a?module-path=m.so"),
        std::string("pkcs11:token=a?module-path="), std::string("pkcs11:token=a?module-name="),
        std::string("pkcs11:token=a?module-name=a/b"),
        "pkcs11:token=a" + module + "&pin-value=98765",
        "pkcs11:token=a" + module + "&pin-source=98765",
        "pkcs11:token=a" + module + "&pin-source=%7Ccat 98765",
        "pkcs11:token=a" + module + "&pin-source=file://host/98765"}) {
    const auto uri = TokenUri::parse(text);
    ASSERT_FALSE(uri.ok()) << text;
    EXPECT_EQ(uri.error().code, Code::usage) << text;
    EXPECT_EQ(uri.error().message.find("98765"), std::string::npos) << uri.error().message;
    EXPECT_EQ(uri.error().message.back(), '.') << uri.error().message;
  }
}

TEST(TokenUri, IsToldFromFilesAndHosts) {
  EXPECT_TRUE(TokenUri::looks_like_one("pkcs11:token=a"));
  EXPECT_FALSE(TokenUri::looks_like_one("./pkcs11:x.pem"));
  EXPECT_FALSE(TokenUri::looks_like_one("host-a"));
}

}  // namespace
}  // namespace ckptseal
