// SPDX-License-Identifier: Apache-2.0
//
// docs/host-record.md, "The keys": each key of a record in its role, and certified in the same TPM.
#include <gtest/gtest.h>

#include "hosts/host_record.h"
#include "software_host.h"

namespace ckptseal {
namespace {

using test::AttestFields;
using test::Shape;
using test::SoftwareHost;
using test::SoftwareKey;

// sign_host_record() reads back what it made, so a wrong key is refused before it leaves the host.
class HostRecordKeysTest : public testing::Test {
 protected:
  void expect_unsignable(const HostRecord& statement, const std::string& words) {
    const Result<SignedHostRecord> result = sign_host_record(statement, host.signer());
    ASSERT_FALSE(result.ok()) << words;
    EXPECT_TRUE(result.error().code == Code::integrity || result.error().code == Code::untrusted);
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  }

  SoftwareHost host;
};

struct WrongAttributes {
  std::uint32_t toggled;
  const char* words;
};

TEST_F(HostRecordKeysTest, TheStorageParentHasItsRole) {
  const std::uint32_t right = test::own_key | test::restricted | test::decrypt;
  for (const auto& [toggled, words] : {WrongAttributes{test::fixed_tpm, "fixedTPM"},
                                       {test::fixed_parent, "fixedParent"},
                                       {test::sensitive_data_origin, "sensitiveDataOrigin"},
                                       {test::restricted, "restricted"}}) {
    HostRecord statement = host.statement();
    statement.storage_parent =
        host.certify(test::public_area(host.storage, right ^ toggled, Shape::storage));
    expect_unsignable(statement, words);
  }
  HostRecord statement = host.statement();
  statement.storage_parent = host.certify(host.signing_public);
  expect_unsignable(statement, "storage parent");
}

TEST_F(HostRecordKeysTest, TheAttestationKeyHasItsRole) {
  const std::uint32_t right = test::own_key | test::restricted | test::sign;
  for (const auto& [toggled, words] : {WrongAttributes{test::fixed_tpm, "fixedTPM"},
                                       {test::fixed_parent, "fixedParent"},
                                       {test::sensitive_data_origin, "sensitiveDataOrigin"},
                                       {test::restricted, "restricted"}}) {
    host.attestation_public = test::public_area(host.attestation, right ^ toggled, Shape::signing);
    expect_unsignable(host.statement(), words);
  }
}

TEST_F(HostRecordKeysTest, EverySigningKeyHasItsRole) {
  const std::uint32_t right = test::own_key | test::sign;
  const SoftwareKey second;
  for (const auto& [toggled, words] : {WrongAttributes{test::fixed_tpm, "fixedTPM"},
                                       {test::fixed_parent, "fixedParent"},
                                       {test::sensitive_data_origin, "sensitiveDataOrigin"},
                                       {test::restricted, "restricted"},
                                       {test::decrypt, "decrypt"}}) {
    HostRecord statement = host.statement();
    statement.signing_keys = {
        host.certify(test::public_area(host.signing, right ^ toggled, Shape::signing))};
    expect_unsignable(statement, words);
    statement.signing_keys = {
        host.certify(host.signing_public),
        host.certify(test::public_area(second, right ^ toggled, Shape::signing))};
    expect_unsignable(statement, words);
  }
}

TEST_F(HostRecordKeysTest, ASecondSigningKeyIsListedButDoesNotSign) {
  const SoftwareKey second;
  HostRecord statement = host.statement();
  statement.signing_keys.push_back(
      host.certify(test::public_area(second, test::own_key | test::sign, Shape::signing)));
  EXPECT_TRUE(sign_host_record(statement, host.signer()).ok());
  std::swap(statement.signing_keys[0], statement.signing_keys[1]);
  expect_unsignable(statement, "signature does not fit");
}

TEST_F(HostRecordKeysTest, ACertificationOfAnotherKeyIsRefused) {
  const SoftwareHost other;
  HostRecord parent = host.statement();
  parent.storage_parent = host.certify(other.storage_public);
  parent.storage_parent.public_area = host.storage_public;
  expect_unsignable(parent, "The new host record");
  HostRecord signing = host.statement();
  signing.signing_keys[0] = host.certify(host.storage_public);
  signing.signing_keys[0].public_area = host.signing_public;
  expect_unsignable(signing, "The new host record");
}

TEST_F(HostRecordKeysTest, ACertificationByAnotherAttestationKeyIsRefused) {
  const SoftwareHost other;
  HostRecord parent = host.statement();
  parent.storage_parent = other.certify(host.storage_public);
  expect_unsignable(parent, "The new host record");
  HostRecord signing = host.statement();
  signing.signing_keys[0] = other.certify(host.signing_public);
  expect_unsignable(signing, "The new host record");
  HostRecord exchanged = host.statement();
  exchanged.attestation_key = other.attestation_public;
  expect_unsignable(exchanged, "The new host record");
}

TEST_F(HostRecordKeysTest, ACertificationSaysWhatItMust) {
  AttestFields fields[5];
  fields[0].magic = 0;
  fields[1].type = 0x8018;  // a quote
  fields[2].extra_data = {1};
  fields[3].signer_hierarchy = test::owner_hierarchy;
  fields[4].key_hierarchy = test::endorsement_hierarchy;
  for (const AttestFields& wrong : fields) {
    HostRecord parent = host.statement();
    parent.storage_parent = host.certify(host.storage_public, wrong);
    expect_unsignable(parent, "The new host record");
    HostRecord signing = host.statement();
    signing.signing_keys[0] = host.certify(host.signing_public, wrong);
    expect_unsignable(signing, "The new host record");
  }
}

TEST_F(HostRecordKeysTest, EveryByteOfACertificationCounts) {
  const HostRecord right = host.statement();
  for (std::size_t i = 0; i < right.storage_parent.attest.size(); ++i) {
    HostRecord statement = right;
    statement.storage_parent.attest[i] ^= 1;
    EXPECT_FALSE(sign_host_record(statement, host.signer()).ok()) << "byte " << i;
  }
  for (std::size_t i = 0; i < 64; ++i) {
    HostRecord statement = right;
    statement.signing_keys[0].signature[i] ^= 1;
    EXPECT_FALSE(sign_host_record(statement, host.signer()).ok()) << "byte " << i;
  }
}

}  // namespace
}  // namespace ckptseal
