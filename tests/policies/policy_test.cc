// SPDX-License-Identifier: Apache-2.0
//
// Policies as data: one encoding, and every rule of docs/policies.md, "Encoding". That the digests
// are a TPM's is shown in tests/keymgr_tpm2/tpm2_policy_test.cc.
#include "policies/policy.h"

#include <gtest/gtest.h>

#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

PcrTerm pcrs(const char* selection, const char* value = "as approved") {
  PcrTerm out{{PcrSelection::parse(selection).value(), {}}};
  out.pcrs.values.assign(out.pcrs.selection.size(), Sha256::of(as_bytes(value)));
  return out;
}
ApprovalTerm approvals(const char* domain = "fleet",
                       ApprovalPurpose purpose = ApprovalPurpose::restore) {
  ApprovalTerm out{purpose, {}, domain};
  out.key.x.fill(0x11);
  out.key.y.fill(0x22);
  return out;
}
EpochTerm epoch(std::uint64_t at_most = 7) { return {0x01800f00, at_most}; }
OnlineTerm online(std::uint8_t x = 0x33) {
  OnlineTerm out;
  out.key.x.fill(x);
  out.key.y.fill(0x44);
  return out;
}
const Checkpoint some{{1}, {3, 1'800'000'000}, false, {2}};
Policy all(std::vector<PolicyTerm> terms) { return {std::move(terms)}; }
PolicyTerm any(std::vector<Policy> branches) { return AnyTerm{std::move(branches)}; }

std::vector<Policy> good_policies() {
  return {
      all({}),
      all({pcrs("7")}),
      all({pcrs("0,2,4,7,8,9,11,12"), epoch(), PinTerm{}}),
      all({approvals(), epoch(), PinTerm{}, pcrs("15")}),
      all({pcrs("7"), pcrs("11")}),
      all({any({all({approvals()}), all({approvals("fleet", ApprovalPurpose::migrate)})}),
           epoch()}),
      all({PinTerm{}, any({all({pcrs("7")}), all({epoch()})})}),
      all({any({all({pcrs("7")}), all({pcrs("4"), PinTerm{}}),
                all({any({all({epoch()}), all({pcrs("9")})})})})}),
      all({approvals(), epoch(), online(), PinTerm{}}),
      all({any({all({pcrs("7"), online()}), all({PinTerm{}, online(0x55)}),
                all({any({all({epoch()}), all({online()})})})})}),
  };
}

std::string reason(const Policy& policy) {
  const Status status = policy.check();
  if (status.ok()) return "";
  EXPECT_EQ(status.error().code, Code::usage);
  return status.error().message;
}

#define EXPECT_REFUSED(policy, why)                                                             \
  do {                                                                                          \
    const Policy ckptseal_policy = (policy);                                                    \
    EXPECT_NE(reason(ckptseal_policy).find(why), std::string::npos) << reason(ckptseal_policy); \
    EXPECT_FALSE(Policy::parse(ckptseal_policy.serialize()).ok());                              \
  } while (false)

TEST(Policy, ParsingAndSerializingGiveTheSame) {
  for (const Policy& policy : good_policies()) {
    ASSERT_EQ(reason(policy), "");
    const Bytes bytes = policy.serialize();
    const Result<Policy> read = Policy::parse(bytes);
    ASSERT_TRUE(read.ok()) << to_hex(bytes);
    EXPECT_EQ(read.value().serialize(), bytes);
    EXPECT_EQ(policy_digest(read.value(), some), policy_digest(policy, some));
  }
}

TEST(Policy, TheBytesAreThoseOfTheSpecification) {
  const Policy policy = all({approvals("a"), epoch(), PinTerm{}});
  EXPECT_EQ(to_hex(policy.serialize()),
            "03"
            "0201"
            "04" +
                std::string(64, '1') + std::string(64, '2') +
                "0161"
                "03"
                "01800f00"
                "0000000000000007"
                "04");
  const Policy choice = all({any({all({PinTerm{}}), all({epoch(1)})})});
  EXPECT_EQ(to_hex(choice.serialize()),
            "01"
            "0502"
            "0002"
            "0104"
            "000e"
            "0103"
            "01800f00"
            "0000000000000001");
}

// Of this key, checkpoint and limits, computed by hand from docs/policies.md, "Digest".
TEST(Policy, AnOnlineApprovalIsOfOneCheckpoint) {
  const Policy policy = all({pcrs("7"), online()});
  EXPECT_EQ(to_hex(all({online()}).serialize()),
            "010604" + std::string(64, '3') + std::string(64, '4'));
  const Digest reference =
      Sha256::of(*from_hex("636b70742d7365616c2f76312f6f6e6c696e65"
                           "02" +
                           std::string(62, '0') + "01" + std::string(30, '0') +
                           "00000003"
                           "000000006b49d200"));
  EXPECT_EQ(online_reference(some), reference);
  const Bytes area = *from_hex("0023000b00040040000000100018000b000300100020" +
                               std::string(64, '3') + "0020" + std::string(64, '4'));
  const Digest first = Sha256::of(ByteWriter()
                                      .bytes(policy_digest(all({pcrs("7")}), some))
                                      .u32(0x160)
                                      .u16(0x000b)
                                      .bytes(Sha256::of(area))
                                      .view());
  EXPECT_EQ(policy_digest(policy, some), Sha256().update(first).update(reference).finish());
  // Another checkpoint, and each other limit, is another digest; without the term it is the same.
  for (const Checkpoint& other :
       {Checkpoint{{2}, some.limits, false, some.origin},
        Checkpoint{some.id, {4, some.limits.not_after}, false, some.origin},
        Checkpoint{some.id, {3, 0}, false, some.origin},
        Checkpoint{some.id, {}, false, some.origin}, Checkpoint{some.id, some.limits, false, {3}},
        Checkpoint{some.id, some.limits}}) {
    EXPECT_NE(policy_digest(policy, other), policy_digest(policy, some));
    EXPECT_EQ(policy_digest(all({pcrs("7")}), other), policy_digest(all({pcrs("7")}), some));
  }
}

TEST(Policy, EveryCutAndAnyTailIsRefused) {
  for (const Policy& policy : good_policies()) {
    Bytes bytes = policy.serialize();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(Policy::parse(ByteView(bytes).first(size)).ok()) << size;
    }
    bytes.push_back(0);
    EXPECT_FALSE(Policy::parse(bytes).ok());
  }
}

TEST(Policy, EveryChangedByteIsRefusedOrAnotherPolicy) {
  for (const Policy& policy : good_policies()) {
    const Bytes bytes = policy.serialize();
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int bit : {0, 3, 7}) {
        Bytes changed = bytes;
        changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1 << bit));
        const Result<Policy> read = Policy::parse(changed);
        if (!read.ok()) continue;
        EXPECT_EQ(read.value().serialize(), changed);
        EXPECT_NE(policy_digest(read.value(), some), policy_digest(policy, some)) << at;
      }
    }
  }
}

TEST(Policy, ApprovalsStandFirst) {
  EXPECT_REFUSED(all({pcrs("7"), approvals()}), "approvals stand behind");
  EXPECT_REFUSED(all({approvals(), approvals("b")}), "approvals stand behind");
  EXPECT_REFUSED(all({PinTerm{}, any({all({approvals()}), all({epoch()})})}),
                 "approvals stand behind");
  EXPECT_REFUSED(all({any({all({approvals()}), all({epoch()})}),
                      any({all({approvals("b")}), all({PinTerm{}})})}),
                 "approvals stand behind");
}

TEST(Policy, NothingIsDemandedTwiceOnAPath) {
  EXPECT_REFUSED(all({PinTerm{}, PinTerm{}}), "twice");
  EXPECT_REFUSED(all({epoch(), epoch(3)}), "twice");
  EXPECT_REFUSED(all({PinTerm{}, any({all({PinTerm{}}), all({epoch()})})}), "twice");
  EXPECT_REFUSED(all({online(), online(0x55)}), "twice");
  EXPECT_REFUSED(all({online(), any({all({online(0x55)}), all({epoch()})})}), "twice");
  EXPECT_REFUSED(all({any({all({pcrs("7")}), all({pcrs("7")})})}), "demand the same");
  EXPECT_REFUSED(all({any({all({online()}), all({online()})})}), "demand the same");
}

TEST(Policy, BranchesAreTwoToEightAndDemandSomething) {
  EXPECT_REFUSED(all({any({all({epoch()})})}), "2 to 8");
  EXPECT_REFUSED(all({any({all({epoch()}), all({})})}), "demands nothing");
  std::vector<Policy> nine;
  for (std::uint64_t i = 0; i < 9; ++i) nine.push_back(all({epoch(i)}));
  EXPECT_REFUSED(all({any(nine)}), "2 to 8");
  nine.pop_back();
  EXPECT_EQ(reason(all({any(nine)})), "");
}

TEST(Policy, NestingAndPathsAreBounded) {
  const PolicyTerm inner = any({all({epoch(1)}), all({epoch(2)})});
  const PolicyTerm middle = any({all({inner}), all({pcrs("7")})});
  EXPECT_EQ(reason(all({middle})), "");
  EXPECT_REFUSED(all({any({all({middle}), all({pcrs("4")})})}), "nested");
  std::vector<Policy> eight;
  for (char c = 'a'; c < 'i'; ++c) eight.push_back(all({pcrs("7", std::string(1, c).c_str())}));
  EXPECT_EQ(reason(all({any(eight), any(eight)})), "");  // 64
  EXPECT_REFUSED(all({any(eight), any(eight), any({all({epoch()}), all({PinTerm{}})})}), "64 ways");
}

TEST(Policy, FieldsAreInTheirBounds) {
  EXPECT_REFUSED(all({approvals("Fleet")}), "domain");
  EXPECT_REFUSED(all({approvals("")}), "domain");
  EXPECT_REFUSED(all({approvals("-a")}), "domain");
  EXPECT_REFUSED(all({approvals(std::string(64, 'a').c_str())}), "domain");
  EXPECT_EQ(reason(all({approvals(std::string(63, 'a').c_str())})), "");
  EXPECT_REFUSED(all({EpochTerm{0x02000000, 1}}), "NV index");
  PcrTerm short_of_one = pcrs("4,7");
  short_of_one.pcrs.values.pop_back();
  EXPECT_FALSE(all({short_of_one}).check().ok());
  EXPECT_FALSE(all({PcrTerm{}}).check().ok());
  std::vector<PolicyTerm> seventeen(17, pcrs("7"));
  EXPECT_REFUSED(all(seventeen), "16 terms");
  std::vector<PolicyTerm> sixteen(16, pcrs("0,1,2,3,4,5,6,7,8,9,11,12,13,14,15,16"));
  EXPECT_REFUSED(all(sixteen), "8192 bytes");
}

TEST(Policy, PathsEndInTheDigest) {
  for (const Policy& policy : good_policies()) {
    for (const PolicyPath& path : policy_paths(policy, some)) {
      EXPECT_EQ(path_digest(path), policy_digest(policy, some));
    }
  }
  EXPECT_EQ(policy_paths(good_policies().back(), some).size(), 4U);
  EXPECT_EQ(policy_digest(all({}), some), Digest{});
}

TEST(Policy, KnowsWhatIsInItsBranches) {
  const Policy policy =
      all({any({all({pcrs("7")}), all({any({all({PinTerm{}}), all({epoch()})})})})});
  EXPECT_TRUE(policy.has_pin());
  EXPECT_TRUE(policy.has_epoch());
  EXPECT_FALSE(policy.has_online());
  const Policy some_online = all({any({all({online()}), all({pcrs("7")})})});
  EXPECT_TRUE(some_online.has_online());
  EXPECT_FALSE(some_online.always_online());
  EXPECT_TRUE(all({any({all({online()}), all({pcrs("7"), online(0x55)})})}).always_online());
  EXPECT_TRUE(all({any({all({pcrs("7")}), all({epoch()})}), online()}).always_online());
  EXPECT_FALSE(all({}).always_online());
  EXPECT_FALSE(all({pcrs("7")}).has_pin());
  EXPECT_FALSE(all({pcrs("7")}).has_epoch());
}

}  // namespace
}  // namespace ckptseal
