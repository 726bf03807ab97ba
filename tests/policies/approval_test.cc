// SPDX-License-Identifier: Apache-2.0
//
// Approvals: signed, read back, and refused when a byte of them is another's. docs/policies.md,
// "Approval".
#include "policies/approval.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/pem.h"
#include "policies/policy_digest.h"
#include "software_host.h"

namespace ckptseal {
namespace {

constexpr const char* label = "CKPT-SEAL APPROVAL";

class ApprovalTest : public testing::Test {
 protected:
  ApprovalTest() {
    statement.term = {ApprovalPurpose::restore, authority.point(), "fleet"};
    statement.pcrs = {PcrSelection::parse("4,7").value(), {Digest{1}, Digest{2}}};
    statement.created = 1'700'000'000;
    statement.label = "kernel 6.1";
  }
  Result<Approval> sign() { return sign_with(authority); }
  Result<Approval> sign_with(const test::SoftwareKey& key) {
    return Approval::sign(statement, [&](const Digest& digest) -> Result<EcdsaSignature> {
      return key.sign(digest);
    });
  }
  static Result<Approval> read(const Bytes& content) {
    return Approval::read(as_bytes(pem_encode(label, content).value()), "The approval x");
  }
  static Bytes content_of(const Approval& approval) {
    return pem_decode(label, as_bytes(approval.pem()), "it").value();
  }
  void expect_cannot_be(const char* why) {
    const Result<Approval> out = sign();
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().code, Code::usage);
    EXPECT_NE(out.error().message.find(why), std::string::npos) << out.error().message;
  }

  test::SoftwareKey authority;
  ApprovalStatement statement;
};

TEST_F(ApprovalTest, IsReadAsItWasSigned) {
  for (const bool with_epoch : {false, true}) {
    if (with_epoch) statement.epoch = EpochTerm{0x01800f00, 5};
    const Result<Approval> made = sign();
    ASSERT_TRUE(made.ok()) << made.error().message;
    const Result<Approval> read_back = Approval::read(as_bytes(made.value().pem()), "It");
    ASSERT_TRUE(read_back.ok());
    const ApprovalStatement& got = read_back.value().statement();
    EXPECT_EQ(got.term, statement.term);
    EXPECT_EQ(got.pcrs.values, statement.pcrs.values);
    EXPECT_EQ(got.epoch, statement.epoch);
    EXPECT_EQ(got.label, "kernel 6.1");
    Policy approved{{PcrTerm{statement.pcrs}}};
    if (with_epoch) approved.terms.emplace_back(*statement.epoch);
    EXPECT_EQ(read_back.value().approved(), policy_digest(approved, Checkpoint{}));
  }
}

TEST_F(ApprovalTest, TheBytesAreThoseOfTheSpecification) {
  statement.epoch = EpochTerm{0x01800f00, 5};
  statement.expires = statement.created + 1;
  const Bytes content = content_of(sign().value());
  const std::string expected = to_hex(as_bytes("CKSAPPR1")) + "01" + "05" +
                               to_hex(as_bytes("fleet")) + "04" + to_hex(authority.point().x) +
                               to_hex(authority.point().y) + "00000090" + "01" +
                               std::string(62, '0') + "02" + std::string(62, '0') +
                               "01"
                               "01800f00"
                               "0000000000000005"
                               "000000006553f100"
                               "000000006553f101"
                               "0a" +
                               to_hex(as_bytes("kernel 6.1"));
  EXPECT_EQ(to_hex(ByteView(content).first(content.size() - 128)), expected);
}

TEST_F(ApprovalTest, EveryChangedByteIsRefused) {
  const Bytes content = content_of(sign().value());
  for (std::size_t at = 0; at < content.size(); ++at) {
    Bytes changed = content;
    changed[at] ^= 1;
    const Result<Approval> out = read(changed);
    ASSERT_FALSE(out.ok()) << at;
    EXPECT_EQ(out.error().code, Code::integrity);
  }
  for (std::size_t size = 1; size < content.size(); ++size) {
    EXPECT_FALSE(
        read(Bytes(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(size))).ok())
        << size;
  }
  Bytes longer = content;
  longer.push_back(0);
  EXPECT_FALSE(read(longer).ok());
}

// Right in all but who signed.
TEST_F(ApprovalTest, AForgedOneIsRefused) {
  const test::SoftwareKey other;
  const Result<Approval> out = sign_with(other);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::failed);
  // Either signature alone is not enough: both of another statement, one after the other.
  const Bytes good = content_of(sign().value());
  statement.pcrs.values[0] = Digest{9};
  const Bytes another = content_of(sign().value());
  const std::size_t body = good.size() - 128;
  for (const std::size_t from : {body, body + 64}) {
    Bytes mixed = good;
    std::copy_n(another.begin() + static_cast<std::ptrdiff_t>(from), 64,
                mixed.begin() + static_cast<std::ptrdiff_t>(from));
    EXPECT_FALSE(read(mixed).ok());
  }
}

TEST_F(ApprovalTest, OnlyWhatCanBeIsSigned) {
  const ApprovalStatement good = statement;
  statement.term.purpose = ApprovalPurpose::migrate;
  expect_cannot_be("not for restoring");
  statement = good;
  statement.term.domain = "A";
  expect_cannot_be("domain");
  statement = good;
  statement.pcrs = {};
  expect_cannot_be("PCRs");
  statement = good;
  statement.epoch = EpochTerm{0x02000000, 1};
  expect_cannot_be("NV index");
  statement = good;
  statement.created = 0;
  expect_cannot_be("when it was made");
  statement = good;
  statement.expires = statement.created;
  expect_cannot_be("expires before");
  statement = good;
  statement.label = "two\nlines";
  expect_cannot_be("label");
  statement.label = std::string(256, 'a');
  expect_cannot_be("label");
  statement.label = std::string(255, 'a');
  EXPECT_TRUE(sign().ok());
}

TEST_F(ApprovalTest, ItsTimeEnds) {
  EXPECT_FALSE(sign().value().expired(UINT64_MAX));
  statement.expires = statement.created + 10;
  const Approval approval = sign().value();
  EXPECT_FALSE(approval.expired(statement.created + 9));
  EXPECT_TRUE(approval.expired(statement.created + 10));
}

TEST_F(ApprovalTest, AFailingSignerIsToldOf) {
  int calls = 0;
  for (const int failing : {0, 1}) {
    calls = 0;
    const Result<Approval> out =
        Approval::sign(statement, [&](const Digest& digest) -> Result<EcdsaSignature> {
          if (calls++ == failing) return Error{Code::locked, "The token is locked.", 3};
          return authority.sign(digest);
        });
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().code, Code::locked);
  }
}

}  // namespace
}  // namespace ckptseal
