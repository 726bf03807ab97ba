// SPDX-License-Identifier: Apache-2.0
//
// The document of PCR values: read as written, and nothing but that.
#include "policies/pcr_state.h"

#include <gtest/gtest.h>

#include <string>

namespace ckptseal {
namespace {

const std::string zeros(64, '0');
const std::string hex = "00112233445566778899aabbccddeeff" + std::string(32, 'f');

std::string document(const std::string& pcrs, const std::string& version = "1",
                     const std::string& bank = "\"sha256\"") {
  return "{\"schema_version\":" + version + ",\"bank\":" + bank + ",\"pcrs\":" + pcrs + "}";
}

TEST(PcrStateTest, IsReadAsWritten) {
  const std::string text = document("{\"0\":\"" + zeros + "\",\"23\":\"" + hex + "\"}");
  const Result<PcrState> state = PcrState::parse(text);
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(to_hex(state.value().pcrs.at(23)), hex);
  const Result<PcrState> again = PcrState::parse(state.value().serialize());
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again.value().pcrs, state.value().pcrs);
  EXPECT_EQ(state.value().serialize(),
            "{\n  \"schema_version\": 1,\n  \"bank\": \"sha256\",\n  \"pcrs\": {\n    \"0\": \"" +
                zeros + "\",\n    \"23\": \"" + hex + "\"\n  }\n}\n");
}

TEST(PcrStateTest, GivesTheValuesOfASelection) {
  const Result<PcrState> state =
      PcrState::parse(document("{\"7\":\"" + hex + "\",\"0\":\"" + zeros + "\"}"));
  const Result<PcrValues> values = state.value().values(PcrSelection::parse("0,7").value());
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(to_hex(values.value().values[1]), hex);
  const Result<PcrValues> more = state.value().values(PcrSelection::parse("0,4,7").value());
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, Code::usage);
}

TEST(PcrStateTest, EverythingElseIsRefused) {
  const std::string one = "{\"0\":\"" + zeros + "\"}";
  ASSERT_TRUE(PcrState::parse(document(one)).ok());
  const std::string documents[] = {
      "",
      "null",
      "[]",
      "{}",
      document(one) + "x",
      document(one).substr(0, document(one).size() - 1),
      document(one, "2"),
      document(one, "\"1\""),
      document(one, "1.0"),
      document(one, "true"),
      document(one, "1", "\"sha1\""),
      document(one, "1", "\"SHA256\""),
      document(one, "1", "null"),
      document("{}"),
      document("[]"),
      document("{\"24\":\"" + zeros + "\"}"),
      document("{\"-1\":\"" + zeros + "\"}"),
      document("{\"00\":\"" + zeros + "\"}"),
      document("{\" 0\":\"" + zeros + "\"}"),
      document("{\"\":\"" + zeros + "\"}"),
      document("{\"0\":\"" + zeros.substr(2) + "\"}"),
      document("{\"0\":\"" + zeros + "00\"}"),
      document("{\"0\":\"" + std::string(64, 'F') + "\"}"),
      document("{\"0\":\"" + std::string(64, 'g') + "\"}"),
      document("{\"0\":0}"),
      document("{\"0\":\"" + zeros + "\",\"0\":\"" + hex + "\"}"),
      "{\"schema_version\":1,\"schema_version\":1,\"bank\":\"sha256\",\"pcrs\":" + one + "}",
      "{\"more\":1,\"schema_version\":1,\"bank\":\"sha256\",\"pcrs\":" + one + "}",
      "{\"schema_version\":1,\"bank\":\"sha256\"}",
      "{\"schema_version\":1,\"pcrs\":" + one + "}",
      "{\"bank\":\"sha256\",\"pcrs\":" + one + "}",
      document("{\"0\":" + std::string(100, '[') + std::string(100, ']') + "}"),
      document(one) + std::string(PcrState::largest, ' '),
  };
  for (const std::string& text : documents) {
    const Result<PcrState> state = PcrState::parse(text);
    ASSERT_FALSE(state.ok()) << text;
    EXPECT_EQ(state.error().code, Code::integrity) << text;
    EXPECT_EQ(state.error().message.back(), '.') << text;
  }
}

TEST(PcrStateTest, ACutDocumentIsRefused) {
  const std::string text = document("{\"0\":\"" + zeros + "\",\"23\":\"" + hex + "\"}");
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(PcrState::parse(text.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace ckptseal
