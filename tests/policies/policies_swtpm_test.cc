// SPDX-License-Identifier: Apache-2.0
//
// What policies/ computes in software, computed by a TPM as well.
#include <gtest/gtest.h>

#include "policies/pcr.h"
#include "policies/tpm_public.h"
#include "swtpm_fixture.h"

namespace ckptseal {
namespace {

class PoliciesSwtpmTest : public test::SwtpmTest {
 protected:
  std::string extend(unsigned pcr, char hex_digit) {
    return run({"tpm2_pcrextend", std::to_string(pcr) + ":sha256=" + std::string(64, hex_digit)});
  }

  PcrValues read_pcrs(const PcrSelection& selection) {
    run({"tpm2_pcrread", selection.text(), "-o", tpm().path("pcrs")});
    const Bytes bytes = read("pcrs");
    EXPECT_EQ(bytes.size(), selection.size() * 32);
    PcrValues out{selection, {}};
    ByteReader in(bytes);
    for (std::size_t i = 0; i < selection.size(); ++i) out.values.push_back(in.array<32>());
    return out;
  }

  // In a real session: there the TPM compares the digest of the values read last with its PCRs.
  // The tool takes eight PCRs at most.
  Bytes policy_by_tpm(const PcrSelection& selection) {
    run({"tpm2_startauthsession", "--policy-session", "-S", tpm().path("session")});
    run({"tpm2_policypcr", "-S", tpm().path("session"), "-l", selection.text(), "-f",
         tpm().path("pcrs"), "-L", tpm().path("policy")});
    run({"tpm2_flushcontext", tpm().path("session")});
    return read("policy");
  }

  TpmPublic create_primary(const std::string& algorithm, const std::string& attributes,
                           Bytes& name_by_tpm) {
    run({"tpm2_createprimary", "-C", "o", "-G", algorithm, "-a", attributes, "-c",
         tpm().path("key")});
    run({"tpm2_readpublic", "-c", tpm().path("key"), "-f", "tss", "-o", tpm().path("public"), "-n",
         tpm().path("name")});
    run({"tpm2_flushcontext", "-t"});
    name_by_tpm = read("name");
    Result<TpmPublic> key = TpmPublic::parse(ByteView(read("public")).subspan(2));  // TPM2B
    EXPECT_TRUE(key.ok()) << key.error().message;
    return std::move(key).value();
  }
};

TEST_F(PoliciesSwtpmTest, ThePolicyIsTheTpmsOwn) {
  for (const unsigned pcr : {0U, 4U, 7U, 8U, 15U, 23U}) extend(pcr, "0123456789abcdef"[pcr % 16]);
  for (const char* text :
       {"0", "7", "8", "16", "23", "0,7", "0,2,4,7,8,9,11,12", "15,16,23", "1,3,5,6,13,14,18,22"}) {
    const PcrSelection selection = PcrSelection::parse(text).value();
    const PcrValues values = read_pcrs(selection);
    EXPECT_EQ(to_hex(policy_pcr(selection, values.digest())), to_hex(policy_by_tpm(selection)))
        << text;
  }
}

TEST_F(PoliciesSwtpmTest, AnExtendedPcrGivesAnotherPolicyToBoth) {
  const PcrSelection selection = PcrSelection::standard();
  const PcrValues before = read_pcrs(selection);
  const Digest policy = policy_pcr(selection, before.digest());
  extend(7, 'a');
  const PcrValues after = read_pcrs(selection);
  EXPECT_EQ(before.differing(after), std::vector<unsigned>{7});
  const Bytes by_tpm = policy_by_tpm(selection);
  EXPECT_NE(to_hex(by_tpm), to_hex(policy));
  EXPECT_EQ(to_hex(by_tpm), to_hex(policy_pcr(selection, after.digest())));
}

TEST_F(PoliciesSwtpmTest, NamesAndRolesOfKeysThatATpmMade) {
  struct Case {
    const char* algorithm;
    const char* attributes;
    std::optional<KeyRole> role;
  };
  const std::string own = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|";
  const std::vector<Case> cases = {
      {"ecc256:aes128cfb", "restricted|decrypt", KeyRole::storage_parent},
      {"ecc256:ecdsa-sha256:null", "restricted|sign", KeyRole::attestation_key},
      {"ecc256:ecdsa-sha256:null", "sign", KeyRole::signing_key},
      {"ecc256:ecdsa-sha1:null", "sign", std::nullopt},
      {"ecc384:ecdsa-sha256:null", "sign", std::nullopt},
      {"rsa2048:aes128cfb", "restricted|decrypt", std::nullopt},
      {"ecc256:aes256cfb", "restricted|decrypt", std::nullopt},
  };
  for (const Case& one : cases) {
    Bytes name;
    const TpmPublic key = create_primary(one.algorithm, own + one.attributes, name);
    EXPECT_EQ(to_hex(key.name()), to_hex(name)) << one.algorithm;
    for (const KeyRole role :
         {KeyRole::storage_parent, KeyRole::attestation_key, KeyRole::signing_key}) {
      EXPECT_EQ(key.require(role).ok(), one.role == role) << one.algorithm << one.attributes;
    }
  }
}

}  // namespace
}  // namespace ckptseal
