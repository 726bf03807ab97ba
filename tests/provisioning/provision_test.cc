// SPDX-License-Identifier: Apache-2.0
//
// Setting a host up, again and again, cut short at every point, on another TPM, and taking it back.
// docs/state.md, "host.record".
#include "provisioning/provision.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "fake_provisioning_tpm.h"
#include "hosts/trust.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;
using test::FakeChip;
using test::SoftwareHost;

template <typename T>
void expect_error(const Result<T>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << words;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
}

using Words = std::vector<std::string>;

class ProvisionTest : public testing::Test {
 protected:
  ProvisionTest() {
    std::string name = "/tmp/cks-prov-XXXXXX";
    base = mkdtemp(name.data());
    state = std::make_unique<State>(base + "/state");
  }
  ~ProvisionTest() override { fs::remove_all(base); }
  ProvisionTest(const ProvisionTest&) = delete;
  ProvisionTest& operator=(const ProvisionTest&) = delete;

  static ProvisionRequest request(Seconds now = 1000) {
    ProvisionRequest out;
    out.default_name = "host-a";
    out.now = now;
    return out;
  }
  Result<ProvisionOutcome> provision(const ProvisionRequest& with) {
    return provision_host(*state, with, chip.opener());
  }
  ProvisionOutcome provisioned(const ProvisionRequest& with) {
    Result<ProvisionOutcome> outcome = provision(with);
    EXPECT_TRUE(outcome.ok()) << outcome.error().message;
    return std::move(outcome).value();
  }
  Result<RemovalOutcome> remove(const RemovalRequest& with = {}) {
    return remove_host(*state, with, chip.opener());
  }
  // Every file below the state folder with what is in it.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> out;
    if (!fs::exists(state->folder())) return out;
    for (const auto& entry : fs::recursive_directory_iterator(state->folder())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path());
      out[entry.path().string()] = std::string(std::istreambuf_iterator<char>(in), {});
    }
    return out;
  }
  TrustStore trust(Seconds now) const {
    return {state->trusted_folder(), now, verify_own_record(*state).value()};
  }

  std::string base;
  std::unique_ptr<State> state;
  FakeChip chip;
};

TEST_F(ProvisionTest, MakesARecordThatOthersAccept) {
  const ProvisionOutcome outcome = provisioned(request());
  ASSERT_TRUE(outcome.record.has_value());
  EXPECT_TRUE(outcome.new_record);
  EXPECT_TRUE(outcome.changes.empty());
  EXPECT_TRUE(outcome.warnings.empty());
  ASSERT_EQ(outcome.steps.size(), 5U);
  EXPECT_FALSE(outcome.steps[0].exists);
  const Result<SignedHostRecord> read = read_host_record_file(state->record_path(), 1000);
  ASSERT_TRUE(read.ok()) << read.error().message;
  const HostRecord& record = read.value().record();
  EXPECT_EQ(record.name, "host-a");
  EXPECT_EQ(record.created, 1000U);
  EXPECT_EQ(record.expires, 0U);
  EXPECT_EQ(record.policy_anchor.selection, PcrSelection::standard());
  EXPECT_EQ(record.policy_anchor.values[0][0], 0x11);
  EXPECT_EQ(record.manufacturer, "TEST");
  EXPECT_EQ(read.value().fingerprint(), outcome.record->fingerprint());
  EXPECT_EQ(trust(1000).find_recipient("self").value().fingerprint(), read.value().fingerprint());
  EXPECT_TRUE(trust(1000).find_origin(read.value().identity()).ok());
}

TEST_F(ProvisionTest, NobodyElseMayReadTheState) {
  provisioned(request());
  for (const auto& entry : fs::recursive_directory_iterator(base)) {
    struct stat info = {};
    ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0077, 0U) << entry.path();
  }
}

TEST_F(ProvisionTest, RemembersItsTpm) {
  ProvisionRequest first = request();
  first.tcti = "soft";
  provisioned(first);
  provisioned(request());
  EXPECT_EQ(chip.opened, (Words{"soft", "soft"}));
  EXPECT_EQ(state->tcti().value(), "soft");
}

TEST_F(ProvisionTest, RunningItAgainChangesNothing) {
  ProvisionRequest first = request();
  first.name = "other-name";
  first.labels = Labels{{"rack", "r1"}};
  first.selection = PcrSelection::of_mask(0x81).value();
  first.expires = 9000;
  provisioned(first);
  const auto before = files();
  const ProvisionOutcome outcome = provisioned(request(2000));
  EXPECT_FALSE(outcome.new_record);
  EXPECT_TRUE(outcome.changes.empty());
  EXPECT_TRUE(outcome.steps[0].exists);
  EXPECT_EQ(files(), before);
}

TEST_F(ProvisionTest, WhatChangedIsToldAndTheEarlierRecordStaysAnOrigin) {
  const ProvisionOutcome first = provisioned(request());
  chip.pcr_byte = 0x22;
  const ProvisionOutcome second = provisioned(request(2000));
  EXPECT_TRUE(second.new_record);
  EXPECT_EQ(second.changes, Words{"PCR values"});
  ASSERT_NE(first.record->fingerprint(), second.record->fingerprint());
  EXPECT_EQ(first.record->identity(), second.record->identity());
  EXPECT_EQ(trust(2000).find_origin(first.record->identity()).value().keys.size(), 1U);
  EXPECT_EQ(trust(2000).find_recipient("self").value().fingerprint(), second.record->fingerprint());
}

// What a host signed with a key that its TPM has no more is still its own.
TEST_F(ProvisionTest, AnEarlierSigningKeyStaysWithTheHost) {
  const ProvisionOutcome first = provisioned(request());
  const test::SoftwareKey earlier = chip.host.signing;
  chip.host.signing = {};
  chip.host.signing_public =
      test::public_area(chip.host.signing, test::own_key | test::sign, test::Shape::signing);
  const ProvisionOutcome second = provisioned(request(2000));
  EXPECT_EQ(first.record->identity(), second.record->identity());
  const TrustedOrigin origin = trust(2000).find_origin(first.record->identity()).value();
  const Digest digest = Sha256::of(as_bytes("what was sealed"));
  EXPECT_TRUE(origin.has_signed(digest, earlier.sign(digest), 1500));
  EXPECT_TRUE(origin.has_signed(digest, chip.host.signing.sign(digest), 1500));
  // The twin is another host's, which is another identity.
  EXPECT_FALSE(origin.has_signed(digest, FakeChip().host.signing.sign(digest), 1500));
  EXPECT_NE(FakeChip().host.record().identity(), first.record->identity());
}

TEST_F(ProvisionTest, EachChangeHasItsWord) {
  provisioned(request());
  ProvisionRequest name = request();
  name.name = "host-b";
  EXPECT_EQ(provisioned(name).changes, Words{"name"});
  ProvisionRequest labels = request();
  labels.labels = Labels{{"rack", "r2"}};
  EXPECT_EQ(provisioned(labels).changes, Words{"labels"});
  ProvisionRequest selection = request();
  selection.selection = PcrSelection::of_mask(1).value();
  EXPECT_EQ(provisioned(selection).changes, Words{"PCR selection"});
  ProvisionRequest expires = request();
  expires.expires = 5000;
  EXPECT_EQ(provisioned(expires).changes, Words{"expiry"});
  chip.epoch = 2;
  EXPECT_EQ(provisioned(request()).changes, Words{"epoch"});
  chip.software = true;
  EXPECT_EQ(provisioned(request()).changes, Words{"kind of TPM"});
  chip.host.signing = {};
  chip.host.signing_public =
      test::public_area(chip.host.signing, test::own_key | test::sign, test::Shape::signing);
  EXPECT_EQ(provisioned(request()).changes, Words{"TPM keys"});
  EXPECT_TRUE(provisioned(request()).changes.empty());
  EXPECT_EQ(trust(1000).list().value().size(), 8U);
  const std::vector<TrustedOrigin> origins = trust(1000).origins().value();
  ASSERT_EQ(origins.size(), 1U);
  EXPECT_EQ(origins[0].name, "host-b");
}

TEST_F(ProvisionTest, ANewRecordIsYoungerEvenWhenTheClockWentBack) {
  provisioned(request(1000));
  chip.pcr_byte = 0x22;
  EXPECT_EQ(provisioned(request(500)).record->record().created, 1001U);
}

TEST_F(ProvisionTest, ALapsedRecordIsRenewedForAsLong) {
  ProvisionRequest first = request(1000);
  first.expires = 1500;
  provisioned(first);
  EXPECT_FALSE(provisioned(request(1499)).new_record);
  const ProvisionOutcome renewed = provisioned(request(1500));
  EXPECT_EQ(renewed.changes, Words{"expiry"});
  EXPECT_EQ(renewed.record->record().expires, 2000U);
}

TEST_F(ProvisionTest, AnExpiryInThePastIsAWrongCall) {
  ProvisionRequest past = request(1000);
  past.expires = 1000;
  expect_error(provision(past), Code::usage, "future");
}

TEST_F(ProvisionTest, WarnsOfWhatProtectsNothing) {
  chip.software = true;
  chip.pcr_byte = 0;
  const Words warnings = provisioned(request()).warnings;
  ASSERT_EQ(warnings.size(), 2U);
  EXPECT_NE(warnings[0].find("software"), std::string::npos);
  EXPECT_NE(warnings[1].find("sha256:0,2,4,7,8,9,11,12"), std::string::npos);
}

TEST_F(ProvisionTest, ADryRunWritesNothing) {
  ProvisionRequest dry = request();
  dry.dry_run = true;
  const ProvisionOutcome outcome = provisioned(dry);
  EXPECT_EQ(outcome.steps.size(), 5U);
  EXPECT_FALSE(outcome.record.has_value());
  EXPECT_FALSE(chip.has_keys);
  EXPECT_FALSE(fs::exists(state->folder()));
  provisioned(request());
  const auto before = files();
  chip.pcr_byte = 0x22;
  EXPECT_TRUE(provisioned(dry).record.has_value());
  EXPECT_EQ(files(), before);
}

TEST_F(ProvisionTest, ANameThatCannotBeIsRefusedBeforeTheTpmIsTouched) {
  ProvisionRequest self = request();
  self.name = "self";
  expect_error(provision(self), Code::usage, "cannot be the name");
  ProvisionRequest nameless = request();
  nameless.default_name = "My_Laptop";
  expect_error(provision(nameless), Code::usage, "cannot be the name");
  ProvisionRequest label = request();
  label.labels = Labels{{"Rack", ""}};
  expect_error(provision(label), Code::usage, "label");
  EXPECT_TRUE(chip.opened.empty());
  EXPECT_FALSE(fs::exists(state->folder()));
}

TEST_F(ProvisionTest, ANameOfATrustedHostIsRefused) {
  ASSERT_TRUE(state->create().ok());
  const SoftwareHost other;
  TrustStore store(state->trusted_folder(), 1500);
  ASSERT_TRUE(store.add(other.record("host-a"), {{true, false}, std::nullopt, false, false}).ok());
  expect_error(provision(request()), Code::untrusted, "another host");
  EXPECT_FALSE(fs::exists(state->record_path()));
  ProvisionRequest renamed = request();
  renamed.name = "host-b";
  EXPECT_TRUE(provision(renamed).ok());
}

TEST_F(ProvisionTest, AnotherTpmIsRefusedAndLeftAsItWas) {
  provisioned(request());
  const auto before = files();
  FakeChip other;
  expect_error(provision_host(*state, request(), other.opener()), Code::failed, "another TPM");
  EXPECT_FALSE(other.has_keys);
  EXPECT_EQ(files(), before);
  // Keys that another state folder of that TPM uses stay.
  other.has_keys = true;
  expect_error(provision_host(*state, request(), other.opener()), Code::failed, "another TPM");
  EXPECT_TRUE(other.has_keys);
  EXPECT_EQ(files(), before);
}

TEST_F(ProvisionTest, TheRecordPinsTheTpmWhenTheKeysAreLost) {
  provisioned(request());
  fs::remove(state->keys_path());
  FakeChip other;
  expect_error(provision_host(*state, request(), other.opener()), Code::failed, "another TPM");
  EXPECT_FALSE(provisioned(request()).new_record);
}

TEST_F(ProvisionTest, DamagedKeysAreWrittenAgain) {
  provisioned(request());
  const auto before = files();
  std::ofstream(state->keys_path(), std::ios::app) << "x";
  const ProvisionOutcome outcome = provisioned(request());
  EXPECT_FALSE(outcome.new_record);
  ASSERT_EQ(outcome.warnings.size(), 1U);
  EXPECT_NE(outcome.warnings[0].find("damaged"), std::string::npos);
  EXPECT_EQ(files(), before);
}

TEST_F(ProvisionTest, ADamagedRecordIsNotReplacedUnasked) {
  provisioned(request());
  std::ofstream(state->record_path(), std::ios::app) << "x";
  const auto before = files();
  expect_error(provision(request()), Code::integrity, "is damaged");
  EXPECT_EQ(files(), before);
}

// The TPM goes away at each of its calls in turn; each time, running again completes the work.
TEST_F(ProvisionTest, AfterATpmThatFailedRunningAgainCompletes) {
  int failures = 0;
  for (int call = 0;; ++call) {
    fs::remove_all(state->folder());
    chip.has_keys = chip.has_use_counter = false;
    chip.calls = 0;
    chip.fails_at = call;
    const Result<ProvisionOutcome> first = provision(request());
    chip.fails_at = -1;
    if (first.ok()) break;
    ++failures;
    expect_error(first, Code::unavailable, "gone");
    EXPECT_FALSE(fs::exists(state->record_path()));
    EXPECT_TRUE(provisioned(request()).new_record);
    EXPECT_TRUE(verify_own_record(*state).ok());
  }
  EXPECT_EQ(failures, 7);
}

// A crash leaves what was written up to then: nothing, the folders, tcti, keys, everything.
TEST_F(ProvisionTest, AfterACrashRunningAgainCompletes) {
  for (int lost = 1; lost <= 5; ++lost) {
    provisioned(request());
    fs::remove(state->record_path());
    if (lost >= 2) fs::remove(state->keys_path());
    if (lost >= 3) fs::remove(state->tcti_path());
    if (lost >= 4) fs::remove(state->tpm_folder());
    if (lost >= 5) fs::remove_all(state->folder());
    expect_error(verify_own_record(*state), Code::failed, "not provisioned");
    EXPECT_TRUE(provisioned(request()).new_record);
    EXPECT_TRUE(verify_own_record(*state).ok());
  }
}

TEST_F(ProvisionTest, AfterACrashBeforeTheNewRecordNothingIsTwice) {
  provisioned(request());
  const std::string earlier = files().at(state->record_path());
  chip.pcr_byte = 0x22;
  provisioned(request());
  std::ofstream(state->record_path()) << earlier;
  EXPECT_EQ(trust(1000).list().value().size(), 1U);
  EXPECT_EQ(provisioned(request()).changes, Words{"PCR values"});
  EXPECT_EQ(trust(1000).list().value().size(), 2U);
}

TEST_F(ProvisionTest, RemovingLeavesNothing) {
  provisioned(request());
  fs::create_directory(state->soft_tpm_folder());
  std::ofstream(state->soft_tpm_folder() + "/tpm2-00.permall") << "x";
  const Result<RemovalOutcome> outcome = remove();
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_TRUE(outcome.value().steps[0].exists);
  EXPECT_TRUE(outcome.value().warnings.empty());
  EXPECT_FALSE(chip.has_keys);
  EXPECT_FALSE(fs::exists(state->folder()));
  expect_error(remove(), Code::failed, "not provisioned");
}

TEST_F(ProvisionTest, TrustStaysUnlessItIsToGo) {
  provisioned(request());
  chip.pcr_byte = 0x22;
  provisioned(request());
  ASSERT_TRUE(remove().ok());
  EXPECT_TRUE(fs::exists(state->trusted_folder()));
  provisioned(request());
  ASSERT_TRUE(remove({.trusted = true}).ok());
  EXPECT_FALSE(fs::exists(state->folder()));
}

TEST_F(ProvisionTest, ADryRemovalRemovesNothing) {
  provisioned(request());
  const auto before = files();
  const Result<RemovalOutcome> outcome = remove({.dry_run = true});
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.value().paths.size(), 5U);  // record, uses, keys, tcti, tpm/
  EXPECT_TRUE(outcome.value().steps[0].exists);
  EXPECT_TRUE(chip.has_keys);
  EXPECT_EQ(files(), before);
}

TEST_F(ProvisionTest, WithoutItsTpmNothingIsRemovedUnlessToldSo) {
  provisioned(request());
  const auto before = files();
  for (int call : {0, 1}) {
    chip.calls = 0;
    chip.fails_at = call;
    expect_error(remove(), Code::unavailable, "gone");
    EXPECT_EQ(files(), before);
  }
  chip.calls = 0;
  chip.fails_at = 0;
  const Result<RemovalOutcome> outcome = remove({.without_tpm = true});
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.value().warnings.size(), 1U);
  EXPECT_FALSE(fs::exists(state->folder()));
  EXPECT_TRUE(chip.has_keys);
}

TEST_F(ProvisionTest, AfterACrashRemovingAgainCompletes) {
  for (int gone = 0; gone <= 3; ++gone) {
    provisioned(request());
    chip.has_keys = false;
    if (gone >= 1) fs::remove(state->record_path());
    if (gone >= 2) fs::remove(state->keys_path());
    if (gone >= 3) fs::remove(state->tcti_path());
    ASSERT_TRUE(remove().ok());
    EXPECT_FALSE(fs::exists(state->folder()));
  }
}

// A link in place of the software TPM's folder is removed, not what it points to.
TEST_F(ProvisionTest, RemovingFollowsNoLinks) {
  provisioned(request());
  fs::create_directory(base + "/precious");
  std::ofstream(base + "/precious/file") << "x";
  fs::create_directory_symlink(base + "/precious", state->soft_tpm_folder());
  ASSERT_TRUE(remove().ok());
  EXPECT_TRUE(fs::exists(base + "/precious/file"));
}

}  // namespace
}  // namespace ckptseal
