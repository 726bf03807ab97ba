// SPDX-License-Identifier: Apache-2.0
//
// sealing/jobs.h: the four jobs in their helper, as the command line calls them.
#include "sealing/jobs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "forge.h"
#include "keymgr/passphrase/passphrase.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::memory_file;
using test::pattern;

Secret secret_of(std::string_view text) {
  return std::move(Secret::copy_of(as_bytes(text))).value();
}

class JobTest : public testing::Test {
 protected:
  SealJob seal_job(int input, int output) {
    SealJob job;
    job.input_fd = input;
    job.output_fd = output;
    job.spool_fd = spool.get();
    job.options.chunk_log2 = smallest_chunk_log2;
    job.options.origin = origin.identity();
    job.recipients = [] { return test::recipients_for({"alice"}); };
    return job;
  }
  ReadJob read_job(int fd) {
    ReadJob job;
    job.sealed_fd = fd;
    job.origins = {origin.trusted()};
    job.identities = [](HelperChannel&) { return test::identities_for({"alice"}); };
    return job;
  }
  HelperEvents events() {
    HelperEvents out;
    out.sign = [this](const Digest& digest) -> Result<EcdsaSignature> {
      return origin.sign(digest);
    };
    out.warning = [this](const std::string& clause) { warnings.push_back(clause); };
    return out;
  }
  Bytes sealed(const Bytes& content) {
    const UniqueFd input = memory_file(content);
    const UniqueFd output = memory_file();
    const Result<HelperReport> report =
        seal_in_helper(seal_job(input.get(), output.get()), events());
    EXPECT_TRUE(report.ok()) << report.error().message;
    return test::content_of(output.get());
  }

  DoubleOrigin origin;
  UniqueFd spool = memory_file();
  std::vector<std::string> warnings;
};

TEST_F(JobTest, SealVerifyInspectOpen) {
  const Bytes content = pattern("content", 300000);
  const UniqueFd file = memory_file(sealed(content));
  const Result<HelperReport> verified = verify_in_helper(read_job(file.get()), false, events());
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_TRUE(verified.value().signature_verified());
  EXPECT_TRUE(verified.value().chunks_verified());
  const Result<HelperReport> seen = inspect_in_helper({read_job(file.get())}, events());
  ASSERT_TRUE(seen.ok()) << seen.error().message;
  EXPECT_EQ(seen.value().content_bytes(), content.size());
  EXPECT_EQ(seen.value().images(0).name(), "stream");
  const UniqueFd output = memory_file();
  const Result<HelperReport> opened =
      open_in_helper(read_job(file.get()), Content::stream, output.get(), events());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_TRUE(test::content_of(output.get()) == content);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(JobTest, FromPipeToPipe) {
  Result<Pipe> in = make_pipe();
  ASSERT_TRUE(in.ok());
  ASSERT_TRUE(write_full(in.value().write_end.get(), pattern("pipe", 50000)).ok());
  in.value().write_end.reset();
  const UniqueFd output = memory_file();
  const Result<HelperReport> report =
      seal_in_helper(seal_job(in.value().read_end.get(), output.get()), events());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().content_bytes(), 50000U);
  Result<Pipe> out = make_pipe();
  ASSERT_TRUE(out.ok());
  ASSERT_TRUE(
      open_in_helper(read_job(output.get()), Content::stream, out.value().write_end.get(), events())
          .ok());
  Bytes back(50000);
  ASSERT_EQ(read_full(out.value().read_end.get(), back).value(), back.size());
  EXPECT_TRUE(back == pattern("pipe", 50000));
}

// A recipient that works in threads: they must be over before the sandbox is entered.
TEST_F(JobTest, APassphraseWrapsAndUnwrapsInFourLanes) {
  const UniqueFd input = memory_file(pattern("content", 1000));
  const UniqueFd output = memory_file();
  SealJob job = seal_job(input.get(), output.get());
  job.recipients = [] {
    test::Recipients out;
    out.push_back(
        std::make_unique<PassphraseRecipient>(secret_of("correct horse"), Argon2Cost{1024, 1, 4}));
    return out;
  };
  const Result<HelperReport> report = seal_in_helper(job, events());
  ASSERT_TRUE(report.ok()) << report.error().message;
  ReadJob read = read_job(output.get());
  for (const bool right : {true, false}) {
    read.identities = [&](HelperChannel&) {
      test::Identities out;
      out.push_back(std::make_unique<PassphraseIdentity>(
          secret_of(right ? "correct horse" : "wrong horse"), 1024));
      return out;
    };
    const Result<HelperReport> verified = verify_in_helper(read, false, events());
    EXPECT_EQ(verified.ok(), right);
    EXPECT_TRUE(right || verified.error().code == Code::policy);
  }
}

TEST_F(JobTest, AnEmptyInputIsRefusedUnlessMeant) {
  const UniqueFd input = memory_file();
  const UniqueFd output = memory_file();
  SealJob job = seal_job(input.get(), output.get());
  EXPECT_FALSE(seal_in_helper(job, events()).ok());
  const UniqueFd fresh_output = memory_file();
  const UniqueFd fresh_spool = memory_file();
  job.output_fd = fresh_output.get();
  job.spool_fd = fresh_spool.get();
  job.refuse_empty = false;
  ASSERT_TRUE(seal_in_helper(job, events()).ok());
  EXPECT_TRUE(verify_in_helper(read_job(fresh_output.get()), false, events()).ok());
}

TEST_F(JobTest, ASignerThatFailsFailsTheSealing) {
  const UniqueFd input = memory_file(pattern("content", 1000));
  const UniqueFd output = memory_file();
  HelperEvents locked = events();
  locked.sign = [](const Digest&) -> Result<EcdsaSignature> {
    return Error{Code::locked, "The TPM is locked.", 0};
  };
  const Result<HelperReport> report = seal_in_helper(seal_job(input.get(), output.get()), locked);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::locked);
}

// The same flips as in flip_test.cc, some of them, through the helper.
TEST_F(JobTest, ADamagedHeaderCopyOpensWithAWarningAndDoesNotVerify) {
  const Bytes file = sealed(pattern("content", 1000));
  for (const std::size_t at :
       {4096UL, 4096UL + 30, 4096UL + 2000, 8191UL, 8192UL, 8192UL + 200, 12287UL}) {
    Bytes other = file;
    other[at] ^= 1;
    const UniqueFd fd = memory_file(other);
    const UniqueFd output = memory_file();
    warnings.clear();
    ASSERT_TRUE(open_in_helper(read_job(fd.get()), Content::stream, output.get(), events()).ok());
    EXPECT_EQ(warnings.size(), 1U) << at;
    EXPECT_EQ(test::content_of(output.get()), pattern("content", 1000));
    for (const bool with_key : {true, false}) {
      ReadJob job = read_job(fd.get());
      if (!with_key) job.identities = nullptr;
      const Result<HelperReport> verified = verify_in_helper(job, false, events());
      ASSERT_FALSE(verified.ok()) << at;
      EXPECT_EQ(verified.error().code, Code::integrity) << at;
    }
  }
}

// What was written before the damage was met does not count, but none of it is wrong.
TEST_F(JobTest, ADamagedChunkGivesNothingUnverified) {
  const Bytes content = pattern("content", 200000);
  Bytes file = sealed(content);
  file[test::small_data_start + 65536 + 5] ^= 1;  // the second chunk
  const UniqueFd fd = memory_file(file);
  const UniqueFd output = memory_file();
  const Result<HelperReport> opened =
      open_in_helper(read_job(fd.get()), Content::stream, output.get(), events());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::integrity);
  const Bytes written = test::content_of(output.get());
  EXPECT_EQ(written.size(), 65536U);
  EXPECT_TRUE(std::equal(written.begin(), written.end(), content.begin()));
  const Result<HelperReport> verified = verify_in_helper(read_job(fd.get()), false, events());
  ASSERT_FALSE(verified.ok());
  ReadJob without_key = read_job(fd.get());
  without_key.identities = nullptr;
  const Result<HelperReport> unchecked = verify_in_helper(without_key, false, events());
  ASSERT_TRUE(unchecked.ok());
  EXPECT_FALSE(unchecked.value().chunks_verified());
}

// In the sandbox, as everything behind the key.
TEST_F(JobTest, WhatIsNotStoredIsAHoleInTheOutput) {
  Bytes content(std::size_t{1} << 20);
  content[70000] = 1;
  const UniqueFd file = memory_file(sealed(content));
  const UniqueFd output = memory_file();
  const Result<HelperReport> opened =
      open_in_helper(read_job(file.get()), Content::stream, output.get(), events());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_TRUE(test::content_of(output.get()) == content);
  struct stat info = {};
  ASSERT_EQ(fstat(output.get(), &info), 0);
  EXPECT_LE(info.st_blocks * 512, 65536);
  EXPECT_TRUE(verify_in_helper(read_job(file.get()), false, events()).ok());
}

TEST_F(JobTest, VerifyWithAnOptionalKey) {
  const UniqueFd file = memory_file(sealed(pattern("content", 1000)));
  ReadJob job = read_job(file.get());
  job.identities = [](HelperChannel&) { return test::identities_for({"stranger"}); };
  EXPECT_EQ(verify_in_helper(job, false, events()).error().code, Code::no_slot);
  const Result<HelperReport> verified = verify_in_helper(job, true, events());
  ASSERT_TRUE(verified.ok());
  EXPECT_FALSE(verified.value().chunks_verified());
}

TEST_F(JobTest, OpenTakesTheContentThatIsExpected) {
  const UniqueFd file = memory_file(sealed(pattern("content", 1000)));
  const UniqueFd output = memory_file();
  const Result<HelperReport> opened =
      open_in_helper(read_job(file.get()), Content::tree, output.get(), events());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::usage);
  EXPECT_TRUE(test::content_of(output.get()).empty());
}

TEST_F(JobTest, AnUntrustedOriginIsReportedByInspectAndRefusedByTheOthers) {
  const UniqueFd file = memory_file(sealed(pattern("content", 1000)));
  ReadJob job = read_job(file.get());
  job.origins.clear();
  EXPECT_EQ(verify_in_helper(job, false, events()).error().code, Code::untrusted);
  const UniqueFd output = memory_file();
  EXPECT_EQ(open_in_helper(job, Content::stream, output.get(), events()).error().code,
            Code::untrusted);
  EXPECT_TRUE(test::content_of(output.get()).empty());
  // No key is used on what nobody vouches for.
  EXPECT_EQ(inspect_in_helper({job}, events()).error().code, Code::untrusted);
  job.identities = nullptr;
  const Result<HelperReport> seen = inspect_in_helper({job}, events());
  ASSERT_TRUE(seen.ok()) << seen.error().message;
  EXPECT_FALSE(seen.value().signature_verified());
  EXPECT_TRUE(seen.value().slots(0).not_checked())
      << "a bug that was: it was said to be vouched for";
}

TEST_F(JobTest, InspectUsesNoKeyOnWhatIsUnsignedUnlessThatIsAllowed) {
  const UniqueFd file = memory_file(test::seal(test::Sample()));
  ReadJob job = read_job(file.get());
  EXPECT_EQ(inspect_in_helper({job}, events()).error().code, Code::untrusted);
  job.allow_unsigned = true;
  const Result<HelperReport> seen = inspect_in_helper({job}, events());
  ASSERT_TRUE(seen.ok()) << seen.error().message;
  EXPECT_EQ(seen.value().image_count(), 1U);
  EXPECT_FALSE(seen.value().signature_verified());
  EXPECT_FALSE(seen.value().slots(0).not_checked() || seen.value().slots(0).not_vouched());
  job.allow_unsigned = false;
  job.identities = nullptr;
  const Result<HelperReport> shown = inspect_in_helper({job}, events());
  ASSERT_TRUE(shown.ok()) << shown.error().message;
  EXPECT_TRUE(shown.value().slots(0).not_checked());
}

TEST_F(JobTest, OfManySlotsTheFirstAreDescribedOrThoseThatAreAskedFor) {
  test::Sample sample;
  sample.origin = &origin;
  for (int i = 0; i < 4200; ++i) sample.words.push_back(std::to_string(i));
  const UniqueFd file = memory_file(test::seal(sample));
  InspectJob job{read_job(file.get())};
  job.read.identities = nullptr;
  const Result<HelperReport> first = inspect_in_helper(job, events());
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first.value().slot_count(), sample.words.size());
  EXPECT_EQ(first.value().slots_size(), 4096);
  job.describes = [](const SlotBody& slot) { return test::is_slot_of(slot, "4150"); };
  const Result<HelperReport> one = inspect_in_helper(job, events());
  ASSERT_EQ(one.value().slots_size(), 1);
  EXPECT_EQ(sample.words.at(one.value().slots(0).index()), "4150");
}

// One that somebody put there who may not: others open the file, and a check of it fails.
TEST_F(JobTest, ASlotThatNobodyVouchesForFailsACheck) {
  const Bytes file = sealed(pattern("content", 1000));
  test::Forge forge(file, "alice");
  forge.change_slots({forge.header.slots[0], forge.slot_for("eve")}, 2, &origin);
  const UniqueFd fd = memory_file(forge.build(nullptr));
  for (const bool with_key : {true, false}) {
    ReadJob job = read_job(fd.get());
    if (!with_key) job.identities = nullptr;
    const Result<HelperReport> verified = verify_in_helper(job, true, events());
    ASSERT_FALSE(verified.ok());
    EXPECT_EQ(verified.error().code, Code::integrity);
    const Result<HelperReport> seen = inspect_in_helper({job}, events());
    ASSERT_TRUE(seen.ok()) << seen.error().message;
    EXPECT_FALSE(seen.value().slots(0).not_vouched());
    EXPECT_TRUE(seen.value().slots(1).not_vouched());
    EXPECT_FALSE(seen.value().slots(0).not_checked() || seen.value().slots(1).not_checked());
  }
  const UniqueFd output = memory_file();
  EXPECT_TRUE(open_in_helper(read_job(fd.get()), Content::stream, output.get(), events()).ok());
  EXPECT_TRUE(warnings.empty()) << "nobody came to the forged one";
}

TEST_F(JobTest, WhatIsSkippedIsWarnedOf) {
  const Bytes file = sealed(pattern("content", 1000));
  test::Forge forge(file, "alice");
  forge.change_slots({forge.slot_for("eve"), forge.header.slots[0]}, 2, &origin);
  const UniqueFd fd = memory_file(forge.build(nullptr));
  const UniqueFd output = memory_file();
  EXPECT_TRUE(open_in_helper(read_job(fd.get()), Content::stream, output.get(), events()).ok());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("slot 0"), std::string::npos) << warnings[0];
}

// Sound copies that differ are what an interrupted change leaves; one of another file is damage.
TEST_F(JobTest, CopiesThatDifferVerifyWithAWarning) {
  const Bytes file = sealed(pattern("content", 1000));
  test::Forge forge(file, "alice");
  const Bytes older = forge.header_block();
  forge.change_slots(forge.header.slots, 2, &origin);
  const UniqueFd mixed = memory_file(test::with_header_copies(file, older, forge.header_block()));
  EXPECT_TRUE(verify_in_helper(read_job(mixed.get()), false, events()).ok());
  EXPECT_EQ(warnings.size(), 1U);
  const Bytes foreign = test::Forge(sealed(pattern("content", 1000)), "alice").header_block();
  const UniqueFd other = memory_file(test::with_header_copies(file, older, foreign));
  const Result<HelperReport> verified = verify_in_helper(read_job(other.get()), false, events());
  ASSERT_FALSE(verified.ok());
  EXPECT_EQ(verified.error().code, Code::integrity);
  const UniqueFd output = memory_file();
  EXPECT_TRUE(open_in_helper(read_job(other.get()), Content::stream, output.get(), events()).ok());
}

}  // namespace
}  // namespace ckptseal
