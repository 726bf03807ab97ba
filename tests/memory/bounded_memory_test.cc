// SPDX-License-Identifier: Apache-2.0
//
// The helper's memory does not grow with the checkpoint: a large stream is sealed, verified and
// opened, and the peak of each helper stays below the bound that docs/format.md's pages are for.
// CKPTSEAL_MEMORY_MIB in the environment says how large, 1024 unless it is set.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "base/output_file.h"
#include "base/process.h"
#include "sample.h"
#include "sealing/jobs.h"

namespace ckptseal {
namespace {

constexpr std::uint64_t MiB = 1 << 20;
constexpr std::uint64_t most_memory = 64 * MiB;

std::uint64_t stream_size() {
  const char* const text = std::getenv("CKPTSEAL_MEMORY_MIB");
  return (text == nullptr ? 1024 : std::strtoull(text, nullptr, 10)) * MiB + 12345;
}

// Runs in a process of its own and says the largest resident set of its children, in bytes; 0 when
// `body` failed.
std::uint64_t peak_of_helper(const std::function<bool()>& body) {
  Result<Pipe> answer = make_pipe();
  if (!answer.ok()) return 0;
  Result<Child> child = Child::fork([&] {
    if (!body()) return 1;
    rusage usage = {};
    getrusage(RUSAGE_CHILDREN, &usage);
    const auto peak = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    return write_full(answer.value().write_end.get(), ByteWriter().u64(peak).view()).ok() ? 0 : 2;
  });
  answer.value().write_end.reset();
  Bytes bytes(8);
  const Result<std::size_t> size = read_full(answer.value().read_end.get(), bytes);
  if (!child.ok() || !size.ok() || size.value() != 8) return 0;
  return ByteReader(bytes).u64();
}

// A child that writes `size` bytes which differ from block to block.
Result<Child> start_producer(int output, std::uint64_t size) {
  return Child::fork([=] {
    Bytes block = test::pattern("block", MiB);
    for (std::uint64_t done = 0; done < size; done += block.size()) {
      const Bytes number = ByteWriter().u64(done).take();
      std::copy(number.begin(), number.end(), block.begin());
      const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(MiB, size - done));
      if (!write_full(output, ByteView(block).first(now)).ok()) return 1;
    }
    return 0;
  });
}

bool seal_stream(int output, std::uint64_t size) {
  Result<Pipe> input = make_pipe();
  Result<UniqueFd> spool = make_spool_file("/tmp");
  if (!input.ok() || !spool.ok()) return false;
  const Result<Child> producer = start_producer(input.value().write_end.get(), size);
  input.value().write_end.reset();
  SealJob job;
  job.input_fd = input.value().read_end.get();
  job.output_fd = output;
  job.spool_fd = spool.value().get();
  job.recipients = [] { return test::recipients_for({"alice"}); };
  const Result<HelperReport> report = seal_in_helper(job, {});
  return report.ok() && report.value().content_bytes() == size;
}

ReadJob read_job(int fd) {
  ReadJob job;
  job.sealed_fd = fd;
  job.allow_unsigned = true;
  job.identities = [](HelperChannel&) { return test::identities_for({"alice"}); };
  return job;
}

// A threshold of two shares of one byte each: the slot with the most parts in the fewest bytes.
class SmallestThreshold : public Recipient {
 public:
  Result<SlotBody> wrap(const Secret& /*data_key*/, const Checkpoint& /*of*/) override {
    ByteWriter body;
    body.u8(2).u8(2);
    for (int share = 0; share < 2; ++share) body.u16(0x7e57).u32(1).u8(0);
    return SlotBody{static_cast<std::uint16_t>(SlotKind::threshold), body.take()};
  }
};

// As many as a header takes, and behind them one for alice.
bool seal_for_many(int output) {
  constexpr std::size_t count = 37000;
  const Result<UniqueFd> input = open_file("/dev/null", O_RDONLY, "the null device");
  Result<UniqueFd> spool = make_spool_file("/tmp");
  if (!input.ok() || !spool.ok()) return false;
  SealJob job;
  job.input_fd = input.value().get();
  job.output_fd = output;
  job.spool_fd = spool.value().get();
  job.refuse_empty = false;
  job.recipients = [] {
    std::vector<std::unique_ptr<Recipient>> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(std::make_unique<SmallestThreshold>());
    out.push_back(std::make_unique<test::DoubleRecipient>("alice"));
    return out;
  };
  return seal_in_helper(job, {}).ok();
}

// The measure sees what a helper takes.
TEST(MemoryTest, AHelperThatTakesTooMuchIsSeen) {
  const std::uint64_t peak = peak_of_helper([] {
    return run_in_helper({},
                         [](HelperChannel&) -> Result<HelperReport> {
                           const Bytes taken = test::pattern("much", most_memory);
                           HelperReport report;
                           report.set_file_size(taken.size());
                           return report;
                         },
                         {})
        .ok();
  });
  EXPECT_GE(peak, most_memory);
}

TEST(MemoryTest, IsBoundedWhateverTheSize) {
  const std::uint64_t size = stream_size();
  const Result<UniqueFd> file = make_spool_file("/tmp");
  ASSERT_TRUE(file.ok());
  const std::uint64_t sealing =
      peak_of_helper([&] { return seal_stream(file.value().get(), size); });
  ASSERT_NE(sealing, 0U);
  EXPECT_LT(sealing, most_memory);
  const std::uint64_t verifying = peak_of_helper(
      [&] { return verify_in_helper(read_job(file.value().get()), false, {}).ok(); });
  ASSERT_NE(verifying, 0U);
  EXPECT_LT(verifying, most_memory);
  const Result<UniqueFd> null = open_file("/dev/null", O_WRONLY, "the null device");
  ASSERT_TRUE(null.ok());
  const std::uint64_t opening = peak_of_helper([&] {
    return open_in_helper(read_job(file.value().get()), Content::stream, null.value().get(), {})
        .ok();
  });
  ASSERT_NE(opening, 0U);
  EXPECT_LT(opening, most_memory);
  RecordProperty("sealing_mib", static_cast<int>(sealing / MiB));
  RecordProperty("verifying_mib", static_cast<int>(verifying / MiB));
  RecordProperty("opening_mib", static_cast<int>(opening / MiB));
}

// Whoever stores a file chooses its slots before anybody is trusted.
TEST(MemoryTest, IsBoundedWhateverTheNumberOfSlots) {
  const Result<UniqueFd> file = make_spool_file("/tmp");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(seal_for_many(file.value().get()));
  const ReadJob job = read_job(file.value().get());
  const Result<UniqueFd> null = open_file("/dev/null", O_WRONLY, "the null device");
  ASSERT_TRUE(null.ok());
  const std::pair<const char*, std::function<bool()>> verbs[] = {
      {"verify", [&] { return verify_in_helper(job, false, {}).ok(); }},
      {"inspect", [&] { return inspect_in_helper({job}, {}).ok(); }},
      {"open", [&] { return open_in_helper(job, Content::stream, null.value().get(), {}).ok(); }},
  };
  for (const auto& [verb, body] : verbs) {
    const std::uint64_t peak = peak_of_helper(body);
    EXPECT_NE(peak, 0U) << verb;
    EXPECT_LT(peak, most_memory) << verb;
    RecordProperty(fmt::format("{}_mib", verb), static_cast<int>(peak / MiB));
  }
}

}  // namespace
}  // namespace ckptseal
