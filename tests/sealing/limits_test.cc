// SPDX-License-Identifier: Apache-2.0
//
// When a reader looks at the clock and has a use written down, and that no byte of content comes
// before. docs/policies.md, "Limits".
#include "sealing/limits.h"

#include <gtest/gtest.h>

#include <optional>

#include "policies/use_record.h"
#include "sample.h"
#include "sealing/header_change.h"

namespace ckptseal {
namespace {

using test::DoubleOrigin;
using test::memory_file;
using test::pattern;

class LimitsTest : public testing::Test {
 protected:
  UniqueFd sealed(const UseLimits& limits, Content content = Content::stream) {
    const UniqueFd input = memory_file(pattern("content", 300000));
    UniqueFd output = memory_file();
    const UniqueFd spool = memory_file();
    SealJob job;
    job.input_fd = input.get();
    job.output_fd = output.get();
    job.spool_fd = spool.get();
    job.options.content = content;
    job.options.origin = origin.identity();
    job.options.created = 1000;
    job.options.limits = limits;
    job.recipients = [] { return test::recipients_for({"alice"}); };
    HelperEvents events;
    events.sign = [this](const Digest& d) -> Result<EcdsaSignature> { return origin.sign(d); };
    EXPECT_TRUE(seal_in_helper(job, events).ok());
    return output;
  }
  ReadJob read_job(int fd) {
    ReadJob job;
    job.sealed_fd = fd;
    job.origins = {origin.trusted()};
    job.identities = [](HelperChannel&) { return test::identities_for({"alice"}); };
    job.check_time = [](std::uint64_t not_after) {
      return not_after > 2000 ? Status() : Status(Error{Code::revoked, "it is over", 0});
    };
    return job;
  }
  HelperEvents counting(const Status& answer = {}) {
    HelperEvents events;
    events.count_use = [this, answer](const UseRequest& use) {
      ++asked;
      last = use;
      return answer;
    };
    return events;
  }
  void expect_error(const Result<HelperReport>& result, Code code, const std::string& words) {
    ASSERT_FALSE(result.ok()) << words;
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  }

  DoubleOrigin origin;
  int asked = 0;
  std::optional<UseRequest> last;
};

TEST_F(LimitsTest, OpeningAsksOnce) {
  const UniqueFd file = sealed({3, 0});
  const UniqueFd output = memory_file();
  const Result<HelperReport> report =
      open_in_helper(read_job(file.get()), Content::stream, output.get(), counting());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().restores(), 3U);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(last->restores, 3U);
  EXPECT_EQ(last->created, 1000U);
  CheckpointId id{};
  std::copy_n(report.value().checkpoint_id().begin(), id.size(), id.begin());
  EXPECT_EQ(to_hex(last->key), to_hex(use_key(origin.identity(), id)));
  EXPECT_EQ(test::content_of(output.get()), pattern("content", 300000));
}

TEST_F(LimitsTest, NoByteComesBeforeTheAnswer) {
  const UniqueFd file = sealed({1, 0});
  const UniqueFd output = memory_file();
  expect_error(open_in_helper(read_job(file.get()), Content::stream, output.get(),
                              counting(Error{Code::revoked, "its one restore is used up", 0})),
               Code::revoked, "used up");
  EXPECT_TRUE(test::content_of(output.get()).empty());
  expect_error(open_in_helper(read_job(file.get()), Content::stream, output.get(), {}), Code::usage,
               "nobody counts");
  EXPECT_TRUE(test::content_of(output.get()).empty());
}

TEST_F(LimitsTest, WhatGivesOutNoContentAsksNothing) {
  const UniqueFd file = sealed({1, 0});
  EXPECT_TRUE(verify_in_helper(read_job(file.get()), false, counting()).ok());
  EXPECT_TRUE(inspect_in_helper({read_job(file.get())}, counting()).ok());
  RewrapJob rewrap;
  rewrap.read = read_job(file.get());
  EXPECT_TRUE(rewrap_in_helper(rewrap, counting()).ok());
  const UniqueFd unlimited = sealed({});
  const UniqueFd output = memory_file();
  EXPECT_TRUE(
      open_in_helper(read_job(unlimited.get()), Content::stream, output.get(), counting()).ok());
  EXPECT_EQ(asked, 0);
}

// The identity would open it: it is not asked.
TEST_F(LimitsTest, AfterItsEndNoSlotIsTried) {
  const UniqueFd file = sealed({0, 2000});
  ReadJob job = read_job(file.get());
  job.identities = [](HelperChannel&) -> Result<std::vector<std::unique_ptr<Identity>>> {
    return Error{Code::failed, "a slot was tried", 0};
  };
  const UniqueFd output = memory_file();
  expect_error(open_in_helper(job, Content::stream, output.get(), counting()), Code::revoked,
               "it is over");
  expect_error(verify_in_helper(job, true, counting()), Code::revoked, "it is over");
  expect_error(inspect_in_helper({job}, counting()), Code::revoked, "it is over");
  RewrapJob rewrap;
  rewrap.read = job;
  expect_error(rewrap_in_helper(rewrap, counting()), Code::revoked, "it is over");
  job.identities = nullptr;
  EXPECT_TRUE(inspect_in_helper({job}, counting()).ok());
  EXPECT_TRUE(verify_in_helper(job, true, counting()).ok());
  EXPECT_EQ(asked, 0);
}

TEST_F(LimitsTest, BeforeItsEndItOpens) {
  const UniqueFd file = sealed({0, 2001});
  const UniqueFd output = memory_file();
  EXPECT_TRUE(open_in_helper(read_job(file.get()), Content::stream, output.get(), {}).ok());
}

TEST_F(LimitsTest, WithoutAClockWhatHasAnEndIsRefused) {
  const UniqueFd file = sealed({0, 2001});
  ReadJob job = read_job(file.get());
  job.check_time = nullptr;
  const UniqueFd output = memory_file();
  expect_error(open_in_helper(job, Content::stream, output.get(), counting()), Code::revoked,
               "no clock");
}

// Damage that is found without giving anything out costs no use.
TEST_F(LimitsTest, WhatIsRefusedBeforeCostsNothing) {
  const UniqueFd file = sealed({1, 0});
  const Bytes whole = test::content_of(file.get());
  const UniqueFd output = memory_file();
  for (const std::size_t at : {whole.size() - 4096 + 30, whole.size() - 4096 - 100}) {
    Bytes altered = whole;
    altered[at] ^= 1;
    const UniqueFd other = memory_file(altered);
    EXPECT_FALSE(
        open_in_helper(read_job(other.get()), Content::stream, output.get(), counting()).ok());
  }
  ReadJob stranger = read_job(file.get());
  stranger.identities = [](HelperChannel&) { return test::identities_for({"bob"}); };
  expect_error(open_in_helper(stranger, Content::stream, output.get(), counting()), Code::no_slot,
               "");
  expect_error(open_in_helper(read_job(file.get()), Content::tree, output.get(), counting()),
               Code::usage, "holds");
  EXPECT_EQ(asked, 0);
}

TEST_F(LimitsTest, AMalformedRequestIsRefused) {
  const std::vector<int> none;
  expect_error(run_in_helper(
                   none,
                   [](HelperChannel& channel) -> Result<HelperReport> {
                     CKPTSEAL_TRY(channel.count_use({{}, 0, 0}));
                     return HelperReport();
                   },
                   counting()),
               Code::failed, "message that is none");
  EXPECT_EQ(asked, 0);
}

}  // namespace
}  // namespace ckptseal
