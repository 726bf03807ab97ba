// SPDX-License-Identifier: Apache-2.0
//
// Policies as JSON and in words: docs/policies.md, "Document".
#include "policies/policy_document.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <tuple>

#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

const std::string key = "04" + std::string(64, '1') + std::string(64, '2');

std::string document(const std::string& terms) {
  return R"({"schema_version": 1, "all_of": [)" + terms + "]}";
}
Result<PolicyDocument> parse(const std::string& text) {
  return parse_policy_document(text, "The policy p");
}
Policy good(const std::string& terms) {
  Result<PolicyDocument> out = parse(document(terms));
  EXPECT_TRUE(out.ok()) << terms << ": " << (out.ok() ? "" : out.error().message);
  return out.ok() ? std::move(out).value().policy : Policy{};
}
void expect_refused(const std::string& text, const char* why) {
  const Result<PolicyDocument> out = parse(text);
  ASSERT_FALSE(out.ok()) << text;
  EXPECT_EQ(out.error().code, Code::usage);
  EXPECT_EQ(out.error().message.rfind("The policy p", 0), 0U);
  EXPECT_NE(out.error().message.find(why), std::string::npos) << out.error().message;
}
std::string approvals(const std::string& more = "") {
  return R"({"approvals": {"public_key": ")" + key + R"(", "domain": "fleet")" + more + "}}";
}

const Checkpoint some{{1}, {}};

PolicyState state() {
  PolicyState out;
  out.pcrs = {PcrSelection::parse("4,7,11").value(), {Digest{4}, Digest{7}, Digest{11}}};
  out.epoch = {0x01800f00, 5};
  return out;
}

TEST(PolicyDocument, IsWrittenAsItIsRead) {
  for (const std::string& terms : std::vector<std::string>{
           "", R"({"pcrs": "sha256:7,11"})", R"({"pin": true}, {"epoch": true})", approvals(),
           approvals(R"(, "purpose": "migrate")"),
           R"({"epoch": {"nv_index": 25169664, "at_most": 18446744073709551615}})",
           R"({"pcrs": {"11": ")" + std::string(64, 'b') + R"(", "7": ")" + std::string(64, 'a') +
               R"("}})",
           R"({"any_of": [{"pin": true}, {"all_of": [{"pcrs": "7"}, {"epoch": true}]}]})",
           R"({"pcrs": "7"}, {"online": {"public_key": ")" + key + R"("}})"}) {
    const Policy policy = good(terms);
    const std::string text = policy_document(policy);
    const Result<PolicyDocument> again = parse(text);
    ASSERT_TRUE(again.ok()) << text;
    EXPECT_EQ(policy_document(again.value().policy), text);
    EXPECT_EQ(policy_words(again.value().policy), policy_words(policy));
  }
}

TEST(PolicyDocument, LimitsAreOfTheWholeCheckpoint) {
  for (const auto& [terms, restores, not_after, words] :
       std::vector<std::tuple<std::string, std::uint32_t, std::uint64_t, std::string>>{
           {R"({"restores": 1})", 1, 0, "at most one restore"},
           {R"({"pin": true}, {"restores": 4294967295})", 4294967295, 0,
            "at most 4294967295 restores"},
           {R"({"not_after": "2027-01-31T12:34:56Z"}, {"pin": true})", 0, 1801398896,
            "not after 2027-01-31T12:34:56Z"},
           {R"({"not_after": "2027-01-31T12:34:56Z"}, {"restores": 2})", 2, 1801398896,
            "at most 2 restores, not after 2027-01-31T12:34:56Z"}}) {
    const Result<PolicyDocument> read = parse(document(terms));
    ASSERT_TRUE(read.ok()) << terms;
    const UseLimits limits{restores, not_after};
    EXPECT_EQ(read.value().limits, limits);
    EXPECT_EQ(fmt::format("{}", fmt::join(limit_words(limits), ", ")), words);
    const Result<PolicyDocument> again = parse(policy_document(read.value().policy, limits));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.value().limits, limits);
    EXPECT_EQ(policy_document(again.value().policy), policy_document(read.value().policy));
  }
}

TEST(PolicyDocument, LimitsThatAreNone) {
  for (const char* value : {"0", "-1", "4294967296", "1.5", "\"1\"", "true", "null", "[]"}) {
    expect_refused(document(R"({"restores": )" + std::string(value) + "}"), "restores");
  }
  for (const char* value : {"\"\"", "\"2027-01-31\"", "\"1970-01-01T00:00:00Z\"", "1801398896",
                            "\"2027-02-30T00:00:00Z\"", "true", "null"}) {
    expect_refused(document(R"({"not_after": )" + std::string(value) + "}"), "not_after");
  }
  expect_refused(document(R"({"restores": 1}, {"restores": 2})"), "twice");
  expect_refused(document(R"({"not_after": "2027-01-31T12:34:56Z"}, )"
                          R"({"not_after": "2027-01-31T12:34:56Z"})"),
                 "twice");
  expect_refused(document(R"({"any_of": [{"restores": 1}, {"pin": true}]})"), "whole checkpoint");
  expect_refused(document(R"({"any_of": [{"all_of": [{"not_after": "2027-01-31T12:34:56Z"}]}, )"
                          R"({"pin": true}]})"),
                 "whole checkpoint");
}

TEST(PolicyDocument, ValuesStandInTheOrderOfTheirPcrs) {
  const Policy policy = good(R"({"pcrs": {"11": ")" + std::string(64, 'b') + R"(", "7": ")" +
                             std::string(64, 'a') + R"("}})");
  const PcrValues& pcrs = std::get<PcrTerm>(policy.terms.front()).pcrs;
  EXPECT_EQ(pcrs.selection.text(), "sha256:7,11");
  EXPECT_EQ(to_hex(pcrs.values[0]), std::string(64, 'a'));
}

TEST(PolicyDocument, ApprovalsComeFirst) {
  const Policy policy = good(R"({"epoch": true}, {"pin": true}, )" + approvals());
  EXPECT_TRUE(std::holds_alternative<ApprovalTerm>(policy.terms.front()));
  EXPECT_TRUE(std::holds_alternative<EpochTerm>(policy.terms[1]));
  const Policy choice =
      good(R"({"pin": true}, {"any_of": [)" + approvals() + R"(, {"epoch": true}]})");
  EXPECT_TRUE(std::holds_alternative<AnyTerm>(choice.terms.front()));
}

TEST(PolicyDocument, WhatIsNoneIsRefused) {
  expect_refused("", "no JSON object");
  expect_refused("[]", "no JSON object");
  expect_refused("{\"schema_version\": 1, \"all_of\": [", "no JSON object");
  expect_refused(document("") + "x", "no JSON object");
  expect_refused(R"({"all_of": []})", "schema_version");
  expect_refused(R"({"schema_version": 2, "all_of": []})", "schema_version");
  expect_refused(R"({"schema_version": "1", "all_of": []})", "schema_version");
  expect_refused(R"({"schema_version": 1})", "all_of");
  expect_refused(R"({"schema_version": 1, "all_of": {}})", "no list");
  expect_refused(R"({"schema_version": 1, "all_of": [], "any_of": []})", "\"any_of\" is not known");
  expect_refused(R"({"schema_version": 1, "all_of": [{"pin": true}], "all_of": []})", "twice");
  expect_refused(document("") + std::string(65536, ' '), "65536");
}

TEST(PolicyDocument, TermsThatCannotBeAreRefused) {
  expect_refused(document("1"), "one member");
  expect_refused(document("{}"), "one member");
  expect_refused(document(R"({"pin": true, "epoch": true})"), "one member");
  expect_refused(document(R"({"pcr": "7"})"), "\"pcr\" is no term");
  expect_refused(document(R"({"pin": false})"), "pin");
  expect_refused(document(R"({"pin": 1})"), "pin");
  expect_refused(document(R"({"pcrs": 7})"), "pcrs");
  expect_refused(document(R"({"pcrs": "sha256:24"})"), "no selection");
  expect_refused(document(R"({"pcrs": "sha384:7"})"), "no selection");
  expect_refused(document(R"({"pcrs": "sha256:10"})"), "PCR 10");
  expect_refused(document(R"({"pcrs": {}})"), "No PCR");
  expect_refused(document(R"({"pcrs": {"7": "aa"}})"), "64 hexadecimal");
  expect_refused(document(R"({"pcrs": {"07": ")" + std::string(64, 'a') + R"("}})"), "64 hexa");
  expect_refused(document(R"({"pcrs": {"24": ")" + std::string(64, 'a') + R"("}})"), "64 hexa");
  expect_refused(document(R"({"pcrs": {"-1": ")" + std::string(64, 'a') + R"("}})"), "64 hexa");
  expect_refused(document(R"({"epoch": false})"), "epoch");
  expect_refused(document(R"({"epoch": {"nv_index": 1, "at_most": 2}})"), "NV index");
  expect_refused(document(R"({"epoch": {"nv_index": 25169664, "at_most": -2}})"), "NV index");
  expect_refused(document(R"({"epoch": {"nv_index": 25169664, "at_most": 2.5}})"), "NV index");
  expect_refused(document(R"({"epoch": {"nv_index": 25169664}})"), "NV index");
  expect_refused(document(R"({"epoch": {"index": 1}})"), "\"index\" is not known");
  expect_refused(document(R"({"approvals": "fleet"})"), "no object");
  expect_refused(document(R"({"approvals": {"domain": "fleet"}})"), "public_key");
  expect_refused(document(R"({"approvals": {"public_key": "05", "domain": "fleet"}})"),
                 "public_key");
  expect_refused(document(R"({"approvals": {"public_key": 5, "domain": "fleet"}})"), "public_key");
  expect_refused(document(R"({"approvals": {"public_key": ")" + key + R"("}})"), "domain");
  expect_refused(document(approvals(R"(, "purpose": "all")")), "purpose");
  expect_refused(document(approvals(R"(, "policyRef": "x")")), "policyRef");
  expect_refused(document(R"({"online": true})"), "no object");
  expect_refused(document(R"({"online": {}})"), "public_key of its online approval");
  expect_refused(document(R"({"online": {"public_key": "04"}})"), "public_key");
  expect_refused(document(R"({"online": {"public_key": ")" + key + R"(", "domain": "a"}})"),
                 "\"domain\" is not known");
  expect_refused(document(R"({"any_of": {}})"), "no list");
  expect_refused(document(R"({"any_of": [{"pin": true}]})"), "2 to 8");
  expect_refused(document(approvals() + "," + approvals()), "approvals stand behind");
  std::string deep = R"({"pin": true})";
  for (int i = 0; i < 40; ++i) deep = R"({"any_of": [)" + deep + R"(, {"epoch": true}]})";
  expect_refused(document(deep), "nested");
}

TEST(PolicyDocument, OpenTermsAreFilledInFromTheRecord) {
  const Policy open = good(R"({"pcrs": "sha256:11,4"}, {"epoch": true}, {"pin": true})");
  EXPECT_FALSE(open.check().ok());
  const Result<Policy> done = complete(open, state(), "host-b");
  ASSERT_TRUE(done.ok()) << done.error().message;
  const PcrValues& pcrs = std::get<PcrTerm>(done.value().terms[0]).pcrs;
  EXPECT_EQ(pcrs.values, (std::vector<Digest>{Digest{4}, Digest{11}}));
  EXPECT_EQ(std::get<EpochTerm>(done.value().terms[1]), (EpochTerm{0x01800f00, 5}));
  EXPECT_EQ(policy_document(opened(done.value())), policy_document(open));
  EXPECT_EQ(policy_words(done.value()), "sha256:4,11, an epoch of at most 5, the PIN");
  // In branches, too.
  const Policy choice = good(R"({"any_of": [{"pcrs": "7"}, {"epoch": true}]})");
  EXPECT_TRUE(complete(choice, state(), "host-b").ok());
  // A value that is named stays.
  const Policy named = good(R"({"pcrs": {"7": ")" + std::string(64, 'a') + R"("}})");
  EXPECT_EQ(policy_digest(complete(named, state(), "host-b").value(), some),
            policy_digest(named, some));
}

TEST(PolicyDocument, WhatTheRecordDoesNotSayIsRefused) {
  const Result<Policy> done = complete(good(R"({"pcrs": "7,9"})"), state(), "host-b");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Code::usage);
  EXPECT_NE(done.error().message.find("PCR 9, of which the record of host-b"), std::string::npos);
  // Two branches that are the same once they are filled in.
  const Policy twice =
      good(R"({"any_of": [{"pcrs": "7"}, {"pcrs": {"7": "07)" + std::string(62, '0') + R"("}}]})");
  EXPECT_FALSE(complete(twice, state(), "host-b").ok());
}

TEST(PolicyDocument, SaysItInWords) {
  EXPECT_EQ(policy_words(good("")), "nothing");
  EXPECT_EQ(policy_words(good(approvals() + R"(, {"epoch": true})")),
            "PCRs that its authority approved for the domain \"fleet\", the epoch of the sealing");
  EXPECT_EQ(policy_words(
                good(R"({"any_of": [{"pcrs": "7"}, {"all_of": [{"pcrs": "4"}, {"pin": true}]}]})")),
            "one of (sha256:7; or sha256:4, the PIN)");
}

}  // namespace
}  // namespace ckptseal
