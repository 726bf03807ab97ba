// SPDX-License-Identifier: Apache-2.0
//
// docs/host-record.md: a record whose host is to be sealed for under a policy of its own.
#include <gtest/gtest.h>

#include <string>

#include "hosts/host_record.h"
#include "proto/host_record.pb.h"
#include "software_host.h"

namespace ckptseal {
namespace {

class HostRecordPolicyTest : public testing::Test {
 protected:
  static Result<SignedHostRecord> read(const std::string& file) {
    return read_host_record(as_bytes(file), 1500, "The host record test.record");
  }

  // The right record without a policy, made wrong and signed by the host itself.
  template <typename Break>
  Result<SignedHostRecord> broken(Break breaks) const {
    proto::HostRecord message;
    const Bytes body = test::body_of(host.record());
    EXPECT_TRUE(message.ParseFromArray(body.data(), static_cast<int>(body.size())));
    breaks(message);
    return read(host.file_of_body(as_bytes(message.SerializeAsString())));
  }

  void expect_refused(const Result<SignedHostRecord>& result, const std::string& words) const {
    ASSERT_FALSE(result.ok()) << "accepted, though: " << words;
    EXPECT_EQ(result.error().code, Code::integrity) << result.error().message;
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  }

  test::SoftwareHost host;
};

TEST_F(HostRecordPolicyTest, APolicyMakesItVersionThree) {
  HostRecord statement = host.statement("a");
  EXPECT_EQ(policy_words(statement.release_policy()), statement.policy_anchor.selection.text());
  statement.policy = Policy{{EpochTerm{statement.epoch_index, statement.epoch}, PinTerm{}}};
  const Result<SignedHostRecord> written = sign_host_record(statement, host.signer());
  ASSERT_TRUE(written.ok()) << written.error().message;
  const Result<SignedHostRecord> out = read(written.value().pem());
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(test::body_of(out.value())[1], 3);  // behind the tag of `version`
  ASSERT_TRUE(out.value().record().policy.has_value());
  EXPECT_EQ(out.value().record().release_policy().serialize(), statement.policy->serialize());
}

TEST_F(HostRecordPolicyTest, VersionAndPolicyGoTogether) {
  EXPECT_TRUE(broken([](proto::HostRecord&) {}).ok());
  expect_refused(broken([](proto::HostRecord& r) { r.set_version(3); }), "release policy");
  expect_refused(broken([](proto::HostRecord& r) {
                   r.mutable_policy_anchor()->set_policy(std::string("\1\4", 2));
                 }),
                 "another encoding");
}

TEST_F(HostRecordPolicyTest, ThePolicyMustBeOne) {
  expect_refused(broken([](proto::HostRecord& r) {
                   r.set_version(3);
                   r.mutable_policy_anchor()->set_policy(std::string("\1\7", 2));
                 }),
                 "release policy");
}

}  // namespace
}  // namespace ckptseal
