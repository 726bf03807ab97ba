// SPDX-License-Identifier: Apache-2.0
//
// Requests and answers of online approval: one encoding each, and an answer for one request alone.
// docs/policies.md, "Online approval".
#include "policies/online_approval.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/pem.h"
#include "software_host.h"

namespace ckptseal {
namespace {

constexpr const char* request_label = "CKPT-SEAL REQUEST";
constexpr const char* answer_label = "CKPT-SEAL ANSWER";

class OnlineApprovalTest : public testing::Test {
 protected:
  OnlineApprovalTest() {
    request.key = authority.point();
    request.checkpoint = {{0xaa}, {3, 1'800'000'000}, false, {0xdd}};
    request.object = {0x00, 0x0b, 0xbb};
    request.nonce = {0xcc};
    request.who = "host-b";
  }
  static Bytes content(const OnlineRequest& request) {
    return pem_decode(request_label, as_bytes(request.pem().value()), "it").value();
  }
  static Bytes content(const OnlineAnswer& answer) {
    return pem_decode(answer_label, as_bytes(answer.pem().value()), "it").value();
  }
  static Result<OnlineRequest> read_request(ByteView bytes, const char* label = request_label) {
    return OnlineRequest::parse(as_bytes(pem_encode(label, bytes).value()), "The request x");
  }
  static Result<OnlineAnswer> read_answer(ByteView bytes, const char* label = answer_label) {
    return OnlineAnswer::parse(as_bytes(pem_encode(label, bytes).value()), "The answer x");
  }
  DigestSigner signer() const {
    return
        [this](const Digest& digest) -> Result<EcdsaSignature> { return authority.sign(digest); };
  }
  OnlineAnswer answer(std::uint32_t expiration = 300) const {
    return OnlineAnswer::sign(request, expiration, signer()).value();
  }

  test::SoftwareKey authority;
  OnlineRequest request;
};

TEST_F(OnlineApprovalTest, AreReadAsTheyWereWritten) {
  const std::string pem = request.pem().value();
  const Result<OnlineRequest> back = OnlineRequest::parse(as_bytes(pem), "It");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back.value().key, request.key);
  EXPECT_EQ(back.value().checkpoint.id, request.checkpoint.id);
  EXPECT_EQ(back.value().checkpoint.origin, request.checkpoint.origin);
  EXPECT_EQ(back.value().checkpoint.limits, request.checkpoint.limits);
  EXPECT_EQ(back.value().object, request.object);
  EXPECT_EQ(back.value().nonce, request.nonce);
  EXPECT_EQ(back.value().who, "host-b");
  EXPECT_EQ(back.value().pem().value(), pem);
  const std::string answered = answer().pem().value();
  const Result<OnlineAnswer> answer_back = OnlineAnswer::parse(as_bytes(answered), "It");
  ASSERT_TRUE(answer_back.ok());
  EXPECT_TRUE(answer_back.value().check(request).ok());
  EXPECT_EQ(answer_back.value().expiration, 300U);
}

TEST_F(OnlineApprovalTest, TheBytesAreThoseOfTheSpecification) {
  const Bytes bytes = content(request);
  EXPECT_EQ(to_hex(bytes), to_hex(as_bytes("CKSREQU1")) + "04" + to_hex(authority.point().x) +
                               to_hex(authority.point().y) + "dd" + std::string(62, '0') + "aa" +
                               std::string(30, '0') + "00000003" + "000000006b49d200" + "000bbb" +
                               std::string(62, '0') + "cc" + std::string(62, '0') + "06" +
                               to_hex(as_bytes("host-b")));
  const OnlineAnswer answered = answer(0x0e10);
  EXPECT_EQ(to_hex(content(answered)), to_hex(as_bytes("CKSANSW1")) + to_hex(Sha256::of(bytes)) +
                                           "00000e10" + to_hex(answered.signature));
  const Digest command =
      Sha256::of(*from_hex("0000015e"
                           "000bbb" +
                           std::string(62, '0')));
  EXPECT_EQ(unseal_command(request.object), command);
  const Digest reference = Sha256::of(*from_hex(to_hex(as_bytes("ckpt-seal/v1/online")) + "dd" +
                                                std::string(62, '0') + "aa" + std::string(30, '0') +
                                                "00000003"
                                                "000000006b49d200"));
  EXPECT_EQ(to_hex(request.to_sign(300)),
            to_hex(Sha256::of(*from_hex("cc" + std::string(62, '0') + "0000012c" + to_hex(command) +
                                        to_hex(reference)))));
}

TEST_F(OnlineApprovalTest, EveryCutAndTailOfARequestIsRefused) {
  const Bytes good = content(request);
  for (std::size_t size = 1; size < good.size(); ++size) {
    const Result<OnlineRequest> out = read_request(ByteView(good).first(size));
    ASSERT_FALSE(out.ok()) << size;
    EXPECT_EQ(out.error().code, Code::integrity);
  }
  Bytes longer = good;
  longer.push_back(0x20);
  EXPECT_FALSE(read_request(longer).ok());
  EXPECT_FALSE(read_request(good, answer_label).ok());
  EXPECT_FALSE(read_request(good, "CKPT-SEAL APPROVAL").ok());
}

// A request is signed by nobody: a changed one is another request, and has another fingerprint.
TEST_F(OnlineApprovalTest, EveryChangedByteOfARequestIsRefusedOrAnotherRequest) {
  const Bytes good = content(request);
  const OnlineAnswer answered = answer();
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int bit : {0, 4, 7}) {
      Bytes changed = good;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1 << bit));
      const Result<OnlineRequest> out = read_request(changed);
      if (!out.ok()) continue;
      EXPECT_EQ(content(out.value()), changed);
      const Status checked = answered.check(out.value());
      ASSERT_FALSE(checked.ok()) << at;
      EXPECT_EQ(checked.error().code, Code::revoked);
    }
  }
}

TEST_F(OnlineApprovalTest, EveryChangedByteOfAnAnswerIsRefused) {
  const Bytes good = content(answer());
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int bit : {0, 4, 7}) {
      Bytes changed = good;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1 << bit));
      const Result<OnlineAnswer> out = read_answer(changed);
      EXPECT_FALSE(out.ok() && out.value().check(request).ok()) << at;
    }
  }
  for (std::size_t size = 1; size < good.size(); ++size) {
    EXPECT_FALSE(read_answer(ByteView(good).first(size)).ok()) << size;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(read_answer(longer).ok());
  EXPECT_FALSE(read_answer(good, request_label).ok());
}

TEST_F(OnlineApprovalTest, AnAnswerExpiresWithinAnHour) {
  const Bytes good = content(answer());
  for (const std::uint32_t expiration : {0U, 3601U, 0x80000000U, 0xffffffffU}) {
    EXPECT_EQ(OnlineAnswer::sign(request, expiration, signer()).error().code, Code::usage);
    Bytes changed = good;
    const Bytes bytes = ByteWriter().u32(expiration).take();
    std::copy(bytes.begin(), bytes.end(), changed.begin() + 40);
    const Result<OnlineAnswer> out = read_answer(changed);
    ASSERT_FALSE(out.ok()) << expiration;
    EXPECT_NE(out.error().message.find("expire"), std::string::npos) << out.error().message;
  }
  EXPECT_TRUE(answer(1).check(request).ok());
  EXPECT_TRUE(answer(3600).check(request).ok());
}

TEST_F(OnlineApprovalTest, AnAnswerByAnotherKeyIsRefused) {
  const test::SoftwareKey other;
  const auto sign = [&other](const Digest& digest) -> Result<EcdsaSignature> {
    return other.sign(digest);
  };
  EXPECT_EQ(OnlineAnswer::sign(request, 300, sign).error().code, Code::failed);
  OnlineAnswer forged = answer();
  forged.signature = other.sign(request.to_sign(300));
  EXPECT_EQ(forged.check(request).error().code, Code::integrity);
  const OnlineAnswer good = answer();
  request.key = other.point();
  EXPECT_FALSE(good.check(request).ok());
}

TEST_F(OnlineApprovalTest, WhoAsksIsPrintableAndShort) {
  request.who.clear();
  EXPECT_TRUE(read_request(content(request)).ok());
  request.who = std::string(255, '~');
  EXPECT_TRUE(read_request(content(request)).ok());
  for (const std::string& bad :
       {std::string(256, 'a'), std::string("two\nlines"), std::string(1, '\x7f')}) {
    request.who = bad;
    EXPECT_EQ(request.pem().error().code, Code::usage);
  }
  request.who = "a";
  Bytes bytes = content(request);
  bytes.back() = 0x1f;
  EXPECT_FALSE(read_request(bytes).ok());
  request.object[1] = 0x0c;
  EXPECT_FALSE(request.pem().ok());
}

TEST_F(OnlineApprovalTest, TooMuchIsNotRead) {
  const std::string much(largest_online_message + 1, 'x');
  EXPECT_EQ(OnlineRequest::parse(as_bytes(much), "It").error().code, Code::integrity);
  EXPECT_EQ(OnlineAnswer::parse(as_bytes(much), "It").error().code, Code::integrity);
}

}  // namespace
}  // namespace ckptseal
