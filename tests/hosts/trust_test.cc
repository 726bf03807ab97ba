// SPDX-License-Identifier: Apache-2.0
//
// Who comes into trusted/, who is found there, and what is refused. docs/state.md, "trusted/".
#include "hosts/trust.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/output_file.h"
#include "software_host.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;
using test::SoftwareHost;

constexpr TrustRoles as_recipient{true, false};
constexpr TrustRoles as_origin{false, true};
constexpr TrustRoles as_both{true, true};

std::size_t files_in(const fs::path& folder) {
  if (!fs::exists(folder)) return 0;
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

class TrustTest : public testing::Test {
 protected:
  TrustTest() {
    std::string name = "/tmp/cks-trust-XXXXXX";
    base_ = mkdtemp(name.data());
    folder = base_ + "/trusted";
  }
  ~TrustTest() override { fs::remove_all(base_); }
  TrustTest(const TrustTest&) = delete;
  TrustTest& operator=(const TrustTest&) = delete;

  TrustStore store(Seconds now = 1500) const { return {folder, now}; }
  Result<TrustChange> add(const SignedHostRecord& record, TrustRoles roles,
                          bool replace = false) const {
    return store().add(record, {roles, std::nullopt, replace, false});
  }
  std::string write(const std::string& name, const SignedHostRecord& record) const {
    std::string path = base_ + "/" + name;
    std::ofstream(path) << record.pem();
    return path;
  }

  std::string base_;
  std::string folder;
  SoftwareHost a;
  SoftwareHost b;
};

template <typename T>
void expect_error(const Result<T>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << words;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
}

TEST_F(TrustTest, ARecipientIsFoundByName) {
  ASSERT_TRUE(add(a.record("host-a"), as_recipient).ok());
  ASSERT_TRUE(add(b.record("host-b"), as_recipient).ok());
  const Result<SignedHostRecord> found = store().find_recipient("host-a");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found.value().record().attestation_key.name(), a.attestation_public.name());
}

TEST_F(TrustTest, NobodyIsFoundWhoWasNotAdded) {
  expect_error(store().find_recipient("host-a"), Code::untrusted, "No trusted recipient");
  expect_error(store().find_origin(a.record().identity()), Code::untrusted, "No trusted origin");
  EXPECT_TRUE(store().origins().value().empty());
  EXPECT_TRUE(store().list().value().empty());
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(TrustTest, ARecipientIsNoOrigin) {
  const SignedHostRecord record = a.record();
  ASSERT_TRUE(add(record, as_recipient).ok());
  expect_error(store().find_origin(record.identity()), Code::untrusted, "No trusted origin");
  EXPECT_TRUE(store().origins().value().empty());
}

TEST_F(TrustTest, AnOriginIsNoRecipient) {
  const SignedHostRecord record = a.record();
  ASSERT_TRUE(add(record, as_origin).ok());
  expect_error(store().find_recipient("host-a"), Code::untrusted, "not as a recipient");
  const Result<TrustedOrigin> origin = store().find_origin(record.identity());
  ASSERT_TRUE(origin.ok());
  EXPECT_EQ(origin.value().name, "host-a");
  ASSERT_EQ(origin.value().keys.size(), 1U);
  EXPECT_EQ(origin.value().identity, record.identity());
  EXPECT_EQ(origin.value().keys[0].point, a.signing.point());
  EXPECT_EQ(origin.value().keys[0].expires, 2000U);
}

TEST_F(TrustTest, NoRoleIsAWrongCall) {
  expect_error(add(a.record(), {}), Code::usage, "recipient, origin or both");
}

TEST_F(TrustTest, AFileIsNamedByItsPath) {
  const std::string path = write("b.record", b.record("host-b"));
  ASSERT_TRUE(store().find_recipient(path).ok());
  EXPECT_FALSE(store().find_recipient(base_ + "/none.record").ok());
  expect_error(store(2000).find_recipient(path), Code::untrusted, "expired");
}

// A file that somebody left in the current folder is never taken for a trusted name.
TEST_F(TrustTest, ANameIsNeverTakenForAFile) {
  write("host-b", b.record("host-b"));
  const fs::path before = fs::current_path();
  fs::current_path(base_);
  const Result<SignedHostRecord> by_name = store().find_recipient("host-b");
  const Result<SignedHostRecord> by_path = store().find_recipient("./host-b");
  fs::current_path(before);
  expect_error(by_name, Code::untrusted, "name the record's file as ./FILE");
  EXPECT_TRUE(by_path.ok());
}

TEST_F(TrustTest, ANameThatCannotBeIsAWrongCall) {
  expect_error(store().find_recipient("all"), Code::usage, "cannot be the name");
  expect_error(store().find_recipient(""), Code::usage, "cannot be the name");
}

TEST_F(TrustTest, SelfIsTheOwnRecord) {
  const SignedHostRecord own = a.record();
  expect_error(store().find_recipient("self"), Code::failed, "provision");
  const TrustStore with_own(folder, 1500, own);
  EXPECT_EQ(with_own.find_recipient("self").value().fingerprint(), own.fingerprint());
  EXPECT_TRUE(with_own.find_origin(own.identity()).ok());
  EXPECT_EQ(with_own.origins().value().size(), 1U);
  expect_error(with_own.find_recipient("host-a"), Code::untrusted, "write self");
  const TrustStore later(folder, 2000, own);
  expect_error(later.find_recipient("self"), Code::untrusted, "expired");
  EXPECT_EQ(later.find_origin(own.identity()).value().keys[0].expires, 2000U);
}

TEST_F(TrustTest, TheOwnNameIsTaken) {
  TrustStore with_own(folder, 1500, a.record("host-a"));
  expect_error(with_own.add(b.record("host-a"), {as_both, std::nullopt, true, false}),
               Code::untrusted, "the name of this host");
}

TEST_F(TrustTest, APinnedFingerprintMustFit) {
  const SignedHostRecord record = a.record();
  Digest wrong = record.fingerprint();
  wrong[31] ^= 1;
  expect_error(store().add(record, {as_both, wrong, false, false}), Code::untrusted, "fingerprint");
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_TRUE(store().add(record, {as_both, record.fingerprint(), false, false}).ok());
}

TEST_F(TrustTest, AnExpiredRecordIsNotAdded) {
  expect_error(store(2000).add(a.record(), {as_both, std::nullopt, true, false}), Code::untrusted,
               "expired");
}

TEST_F(TrustTest, WhatExpiresLaterIsTrustedForNothingNewThen) {
  const SignedHostRecord record = a.record();
  ASSERT_TRUE(add(record, as_both).ok());
  expect_error(store(2000).find_recipient("host-a"), Code::untrusted, "expired");
  const Digest digest = Sha256::of(as_bytes("a file"));
  const TrustedOrigin origin = store(2000).find_origin(record.identity()).value();
  EXPECT_TRUE(origin.has_signed(digest, a.signing.sign(digest), 1999));
  EXPECT_FALSE(origin.has_signed(digest, a.signing.sign(digest), 2000));
  const std::vector<TrustEntry> entries = store(2000).list().value();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_TRUE(entries[0].expired);
}

TEST_F(TrustTest, ANewerRecordOfTheSameHostReplacesTheRecipientAndJoinsTheOrigins) {
  const SignedHostRecord older = a.record("host-a", 1000);
  const SignedHostRecord newer = a.record("host-a", 1200);
  ASSERT_TRUE(add(older, as_both).ok());
  const Result<TrustChange> change = add(newer, as_both);
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(change.value().removed.size(), 1U);
  EXPECT_EQ(store().find_recipient("host-a").value().fingerprint(), newer.fingerprint());
  EXPECT_EQ(store().find_origin(older.identity()).value().keys[0].expires, 2200U);
  EXPECT_EQ(files_in(folder + "/recipient"), 1U);
  EXPECT_EQ(files_in(folder + "/origin"), 2U);
}

TEST_F(TrustTest, AnOlderRecordDoesNotReplaceANewerRecipient) {
  const SignedHostRecord older = a.record("host-a", 1000);
  ASSERT_TRUE(add(a.record("host-a", 1200), as_recipient).ok());
  expect_error(add(older, as_recipient), Code::untrusted, "older");
  EXPECT_TRUE(add(older, as_origin).ok());
  ASSERT_TRUE(add(older, as_recipient, true).ok());
  EXPECT_EQ(store().find_recipient("host-a").value().fingerprint(), older.fingerprint());
}

// What a crash between writing the newer record and removing the older one leaves.
TEST_F(TrustTest, OfTwoRecordsOfOneRecipientTheNewestCounts) {
  const SignedHostRecord older = a.record("host-a", 1000);
  const SignedHostRecord newer = a.record("host-a", 1200);
  ASSERT_TRUE(add(newer, as_recipient).ok());
  ASSERT_TRUE(TrustFolder(folder + "/recipient").write(older).ok());
  EXPECT_EQ(store().find_recipient("host-a").value().fingerprint(), newer.fingerprint());
}

TEST_F(TrustTest, AddingTheSameRecordAgainChangesNothing) {
  ASSERT_TRUE(add(a.record(), as_recipient).ok());
  const SignedHostRecord there = store().find_recipient("host-a").value();
  const Result<TrustChange> again = add(there, as_recipient);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again.value().removed.empty());
  EXPECT_EQ(files_in(folder + "/recipient"), 1U);
}

TEST_F(TrustTest, AnotherHostUnderAKnownNameIsRefused) {
  const SignedHostRecord known = a.record("host-a", 1000);
  const SignedHostRecord other = b.record("host-a", 1200);
  for (TrustRoles first : {as_recipient, as_origin}) {
    fs::remove_all(folder);
    ASSERT_TRUE(add(known, first).ok());
    for (TrustRoles second : {as_recipient, as_origin, as_both}) {
      expect_error(add(other, second), Code::untrusted, "another host");
    }
  }
  EXPECT_TRUE(store().find_origin(known.identity()).ok());
}

TEST_F(TrustTest, AnotherHostTakesTheNameWhenTold) {
  const SignedHostRecord known = a.record("host-a", 1000);
  const SignedHostRecord other = b.record("host-a", 900);
  ASSERT_TRUE(add(known, as_both).ok());
  const Result<TrustChange> change = add(other, as_recipient, true);
  ASSERT_TRUE(change.ok()) << change.error().message;
  EXPECT_EQ(change.value().removed.size(), 2U);
  EXPECT_EQ(store().find_recipient("host-a").value().fingerprint(), other.fingerprint());
  EXPECT_FALSE(store().find_origin(known.identity()).ok());
}

TEST_F(TrustTest, TwoHostsUnderOneNameAreNeverChosenFrom) {
  ASSERT_TRUE(add(a.record(), as_recipient).ok());
  ASSERT_TRUE(TrustFolder(folder + "/recipient").write(b.record()).ok());
  expect_error(store().find_recipient("host-a"), Code::untrusted, "Two hosts");
}

TEST_F(TrustTest, ADryRunWritesNothing) {
  const SignedHostRecord record = a.record();
  const Result<TrustChange> change = store().add(record, {as_both, std::nullopt, false, true});
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(change.value().written.size(), 2U);
  EXPECT_FALSE(fs::exists(folder));
  ASSERT_TRUE(add(record, as_both).ok());
  ASSERT_EQ(store().remove("host-a", as_both, std::nullopt, true).value().removed.size(), 2U);
  EXPECT_TRUE(store().find_recipient("host-a").ok());
}

TEST_F(TrustTest, TrustIsTakenBackByRole) {
  const SignedHostRecord record = a.record();
  ASSERT_TRUE(add(record, as_both).ok());
  ASSERT_TRUE(store().remove("host-a", as_recipient, std::nullopt, false).ok());
  EXPECT_FALSE(store().find_recipient("host-a").ok());
  EXPECT_TRUE(store().find_origin(record.identity()).ok());
  ASSERT_TRUE(store().remove("host-a", as_both, std::nullopt, false).ok());
  EXPECT_FALSE(store().find_origin(record.identity()).ok());
  expect_error(store().remove("host-a", as_both, std::nullopt, false), Code::failed, "Nothing");
}

TEST_F(TrustTest, TrustIsTakenBackByFingerprint) {
  const SignedHostRecord older = a.record("host-a", 1000);
  const SignedHostRecord newer = a.record("host-a", 1200);
  ASSERT_TRUE(add(older, as_origin).ok());
  ASSERT_TRUE(add(newer, as_origin).ok());
  ASSERT_TRUE(store().remove("host-a", as_origin, older.fingerprint(), false).ok());
  const TrustedOrigin left = store().find_origin(newer.identity()).value();
  ASSERT_EQ(left.keys.size(), 1U);
  EXPECT_EQ(left.keys[0].expires, 2200U);
}

TEST_F(TrustTest, TheListSaysBothRolesAndTheOwnRecord) {
  ASSERT_TRUE(add(a.record("host-a"), as_both).ok());
  ASSERT_TRUE(add(b.record("host-b"), as_origin).ok());
  const SoftwareHost self;
  const TrustStore with_own(folder, 1500, self.record("here"));
  const std::vector<TrustEntry> entries = with_own.list().value();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_TRUE(entries[0].own);
  EXPECT_EQ(entries[1].name, "host-a");
  EXPECT_TRUE(entries[1].roles.recipient && entries[1].roles.origin);
  EXPECT_EQ(entries[2].name, "host-b");
  EXPECT_FALSE(entries[2].roles.recipient);
}

// One bad file does not hide the others, and is never believed.
TEST_F(TrustTest, ADamagedFileIsListedAndLeftOut) {
  const SignedHostRecord good = b.record("host-b");
  const SignedHostRecord record = a.record("host-a");
  ASSERT_TRUE(add(good, as_origin).ok());
  ASSERT_TRUE(add(record, as_both).ok());
  for (const char* role : {"/recipient", "/origin"}) {
    std::ofstream(TrustFolder(folder + role).path_for(record), std::ios::app) << "x";
  }
  expect_error(store().find_recipient("host-a"), Code::integrity, "host-a-");
  expect_error(store().find_origin(record.identity()), Code::untrusted, "No trusted origin");
  ASSERT_EQ(store().origins().value().size(), 1U);
  EXPECT_EQ(store().origins().value()[0].name, "host-b");
  const std::vector<TrustEntry> entries = store().list().value();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_FALSE(entries[0].problem.empty());
  expect_error(add(record, as_both), Code::integrity, "host-a-");
  ASSERT_TRUE(add(record, as_both, true).ok());
  EXPECT_TRUE(store().find_recipient("host-a").ok());
}

TEST_F(TrustTest, ARecordUnderAnotherNameIsRefused) {
  ASSERT_TRUE(add(b.record("host-b"), as_recipient).ok());
  const std::string there = TrustFolder(folder + "/recipient").path_for(b.record("host-b"));
  for (const auto& file : fs::directory_iterator(folder + "/recipient")) {
    std::string renamed = file.path().string();
    renamed.replace(renamed.find("host-b-"), 7, "host-a-");
    fs::rename(file.path(), renamed);
    break;
  }
  expect_error(store().find_recipient("host-a"), Code::integrity, "does not fit");
}

TEST_F(TrustTest, FilesOfOthersAreIgnored) {
  ASSERT_TRUE(add(a.record(), as_recipient).ok());
  std::ofstream(folder + "/recipient/README") << "notes";
  std::ofstream(folder + "/recipient/host-a.record") << "no fingerprint";
  std::ofstream(folder + "/recipient/.host-a.1-0.unfinished") << "half";
  EXPECT_TRUE(store().find_recipient("host-a").ok());
  EXPECT_EQ(store().list().value().size(), 1U);
}

TEST_F(TrustTest, AFolderThatOthersMayWriteIsRefused) {
  ASSERT_TRUE(add(a.record(), as_both).ok());
  for (mode_t mode : {0720U, 0702U}) {
    ASSERT_EQ(chmod((folder + "/recipient").c_str(), mode), 0);
    expect_error(store().find_recipient("host-a"), Code::failed, "others may write");
    expect_error(store().list(), Code::failed, "others may write");
    ASSERT_EQ(chmod((folder + "/recipient").c_str(), 0700), 0);
    ASSERT_EQ(chmod(folder.c_str(), mode), 0);
    expect_error(store().find_recipient("host-a"), Code::failed, "others may write");
    expect_error(add(b.record("host-b"), as_both), Code::failed, "others may write");
    ASSERT_EQ(chmod(folder.c_str(), 0700), 0);
  }
  EXPECT_TRUE(store().find_recipient("host-a").ok());
}

TEST_F(TrustTest, AFileThatOthersMayWriteIsRefused) {
  const SignedHostRecord record = a.record();
  ASSERT_TRUE(add(record, as_both).ok());
  const std::string path = TrustFolder(folder + "/recipient").path_for(record);
  ASSERT_EQ(chmod(path.c_str(), 0666), 0);
  expect_error(store().find_recipient("host-a"), Code::failed, "others may write");
}

TEST_F(TrustTest, SymbolicLinksAreRefused) {
  const SignedHostRecord record = a.record();
  ASSERT_TRUE(add(record, as_both).ok());
  const std::string path = TrustFolder(folder + "/recipient").path_for(record);
  const std::string elsewhere = base_ + "/elsewhere";
  fs::rename(path, elsewhere);
  fs::create_symlink(elsewhere, path);
  expect_error(store().find_recipient("host-a"), Code::failed, "symbolic link");
  fs::remove(path);
  fs::rename(folder + "/origin", base_ + "/origin");
  fs::create_directory_symlink(base_ + "/origin", folder + "/origin");
  expect_error(store().find_origin(record.identity()), Code::failed, "symbolic link");
  fs::rename(folder, base_ + "/moved");
  fs::create_directory_symlink(base_ + "/moved", folder);
  expect_error(store().find_recipient("host-a"), Code::failed, "symbolic link");
  expect_error(add(b.record("host-b"), as_both), Code::failed, "symbolic link");
}

TEST_F(TrustTest, AFolderOfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  ASSERT_TRUE(add(a.record(), as_both).ok());
  ASSERT_EQ(chown((folder + "/recipient").c_str(), 65534, 65534), 0);
  expect_error(store().find_recipient("host-a"), Code::failed, "belongs to user 65534");
}

}  // namespace
}  // namespace ckptseal
