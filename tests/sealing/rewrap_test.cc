// SPDX-License-Identifier: Apache-2.0
//
// sealing/header_change.h: docs/format.md, "Changing the slots" and "Destroying the slots". What a
// reader makes of it is in changed_header_test.cc and vouching_test.cc.
#include "sealing/header_change.h"

#include <gtest/gtest.h>

#include "vouching.h"

namespace ckptseal {
namespace {

using test::Forge;
using test::memory_file;
using test::read_bytes;
using test::trusting;
using test::with_header_copies;

// Slots 0 and 1 are those of alice and bob. The host that changes them is `helper`.
class RewrapTest : public test::VouchingTest {
 protected:
  RewrapJob job_for(int fd) {
    RewrapJob job;
    job.read.sealed_fd = fd;
    job.read.origins = trusting({&origin, &helper}).origins;
    job.read.identities = [](HelperChannel&) { return test::identities_for({"alice"}); };
    job.host = helper.identity();
    job.now = 1767312345;
    return job;
  }
  static void add(RewrapJob& job, const std::vector<std::string>& words) {
    job.recipients = [words] { return test::recipients_for(words); };
  }
  static void remove(RewrapJob& job, const std::string& word) {
    job.removals.push_back({word, [word](std::size_t, const SlotBody& slot) -> Result<bool> {
                              return test::is_slot_of(slot, word);
                            }});
  }
  HelperEvents events() {
    HelperEvents out;
    out.sign = [this](const Digest& digest) -> Result<EcdsaSignature> {
      ++signatures;
      return helper.sign(digest);
    };
    out.warning = [this](const std::string& clause) { warnings.push_back(clause); };
    return out;
  }
  // Does all of it, and gives the file as it is then.
  Bytes rewrapped(const Bytes& bytes, const std::function<void(RewrapJob&)>& change) {
    const UniqueFd fd = memory_file(bytes);
    RewrapJob job = job_for(fd.get());
    change(job);
    const Result<HelperReport> report = rewrap_in_helper(job, events());
    if (!report.ok()) throw std::runtime_error(report.error().message);
    changed = report.value().has_header_change();
    if (changed) {
      EXPECT_TRUE(write_header(fd.get(), report.value().header_change()).ok());
    }
    return test::content_of(fd.get());
  }
  void expect_error(const Bytes& bytes, Code code, const std::string& words,
                    const std::function<void(RewrapJob&)>& change) {
    const UniqueFd fd = memory_file(bytes);
    RewrapJob job = job_for(fd.get());
    change(job);
    const Result<HelperReport> report = rewrap_in_helper(job, events());
    ASSERT_FALSE(report.ok()) << words;
    EXPECT_EQ(report.error().code, code) << report.error().message;
    EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
    EXPECT_TRUE(test::content_of(fd.get()) == bytes);
  }
  static HeaderBlock header_of(const Bytes& bytes) {
    return test::must(SealedFile::open(memory_file(bytes).get())).header();
  }
  Result<test::Contents> read_as(const std::string& word, const Bytes& bytes) {
    return read_bytes(bytes, as(word, trusting({&origin, &helper})));
  }

  int signatures = 0;
  bool changed = false;
  std::vector<std::string> warnings;
};

TEST_F(RewrapTest, AddsASlotBehindTheOthers) {
  const Bytes after = rewrapped(file, [](RewrapJob& job) { add(job, {"carol"}); });
  const HeaderBlock before = header_of(file);
  const HeaderBlock header = header_of(after);
  EXPECT_EQ(header.generation, 2U);
  EXPECT_EQ(header.immutable_bytes, before.immutable_bytes);
  EXPECT_EQ(header.slot_list, before.slot_list);
  ASSERT_EQ(header.slots.size(), 3U);
  EXPECT_EQ(serialize_slots({header.slots[0], header.slots[1]}), serialize_slots(before.slots));
  ASSERT_TRUE(header.slots[2].adder && header.change);
  EXPECT_EQ(header.slots[2].adder->host, helper.identity());
  EXPECT_EQ(header.slots[2].adder->generation, 2U);
  EXPECT_EQ(header.slots[2].adder->time, 1767312345U);
  EXPECT_EQ(header.change->changer, helper.identity());
  EXPECT_EQ(header.change->time, 1767312345U);
  EXPECT_EQ(signatures, 2) << "the slot and the change";
  EXPECT_EQ(read_as("carol", after).value().slot, 2U);
  EXPECT_TRUE(read_as("alice", after).ok());
  EXPECT_TRUE(read_as("alice", after).value().warnings.empty()) << "both copies are the same";
}

TEST_F(RewrapTest, RemovesASlot) {
  const Bytes after = rewrapped(file, [](RewrapJob& job) { remove(job, "bob"); });
  EXPECT_EQ(header_of(after).slots.size(), 1U);
  EXPECT_EQ(signatures, 1) << "the change alone";
  EXPECT_EQ(read_as("bob", after).error().code, Code::no_slot);
  EXPECT_TRUE(read_as("alice", after).ok());
}

TEST_F(RewrapTest, EachChangeIsAGeneration) {
  Bytes bytes = file;
  for (std::uint64_t generation = 2; generation < 6; ++generation) {
    bytes = rewrapped(bytes, [&](RewrapJob& job) { add(job, {std::to_string(generation)}); });
    EXPECT_EQ(header_of(bytes).generation, generation);
    EXPECT_EQ(header_of(bytes).slots.back().adder->generation, generation);
  }
  for (const char* word : {"2", "3", "4", "5", "alice", "bob"}) {
    EXPECT_TRUE(read_as(word, bytes).ok()) << word;
  }
}

TEST_F(RewrapTest, WhoHasASlotGetsNoOther) {
  const Bytes after = rewrapped(file, [](RewrapJob& job) { add(job, {"bob"}); });
  EXPECT_FALSE(changed);
  EXPECT_TRUE(after == file);
  EXPECT_EQ(signatures, 0);
}

// What no reader would use. That a signature holds by no key that is known here is another thing:
// its adder may have had another one.
TEST_F(RewrapTest, WhatIsNotListedGoes) {
  Slot forged = forge.slot_for("eve", &helper, 2);
  forged.adder->time += 1;
  Slot unlisted = forge.slot_for("eve");
  unlisted.body.kind = test::exclusive_double_kind;
  forge.change_slots({unlisted, forge.header.slots[0], forged, forge.slot_for("carol", &origin, 2),
                      forge.header.slots[1]},
                     2, &origin);
  const Bytes after = rewrapped(forge.build(nullptr), [](RewrapJob& job) { remove(job, "bob"); });
  const HeaderBlock header = header_of(after);
  EXPECT_EQ(header.generation, 3U);
  ASSERT_EQ(header.slots.size(), 3U);
  EXPECT_TRUE(test::is_slot_of(header.slots[0].body, "alice"));
  EXPECT_TRUE(test::is_slot_of(header.slots[1].body, "eve"));
  EXPECT_EQ(header.slots[1].adder->time, forged.adder->time);
  EXPECT_TRUE(test::is_slot_of(header.slots[2].body, "carol"));
  EXPECT_EQ(header.slots[2].adder->generation, 2U) << "as it was";
  // It opens nothing here, and is removed as others are.
  EXPECT_EQ(read_as("eve", after).error().code, Code::integrity);
  const Bytes without = rewrapped(after, [](RewrapJob& job) { remove(job, "eve"); });
  EXPECT_EQ(header_of(without).slots.size(), 2U);
}

// Others may trust its adder.
TEST_F(RewrapTest, WhatSomebodyAddedWhomThisHostDoesNotTrustStays) {
  forge.change_slots({forge.header.slots[0], forge.slot_for("sam", &stranger, 2),
                      forge.slot_for("una", nullptr, 2), forge.header.slots[1]},
                     2, &origin);
  const Bytes after = rewrapped(forge.build(nullptr), [](RewrapJob& job) { remove(job, "bob"); });
  const HeaderBlock header = header_of(after);
  ASSERT_EQ(header.slots.size(), 3U);
  EXPECT_EQ(read_as("sam", after).error().code, Code::untrusted);
  EXPECT_TRUE(read_bytes(after, as("sam", trusting({&origin, &helper, &stranger}))).ok());
}

TEST_F(RewrapTest, WhoCannotSignMakesNoChangeThatFewAccept) {
  const auto unsigned_host = [](RewrapJob& job) {
    job.host = {};
    add(job, {"carol"});
  };
  expect_error(file, Code::usage, "cannot sign the change", unsigned_host);
  const Bytes after = rewrapped(file, [&](RewrapJob& job) {
    unsigned_host(job);
    job.allow_unsigned = true;
  });
  EXPECT_EQ(signatures, 0);
  const HeaderBlock header = header_of(after);
  EXPECT_TRUE(all_zero(header.change->changer));
  EXPECT_TRUE(header.change->signature.is_none());
  EXPECT_TRUE(all_zero(header.slots[2].adder->host));
  EXPECT_EQ(read_as("alice", after).error().code, Code::untrusted);
  EXPECT_TRUE(read_bytes(after, as("carol", lenient(trusting(origin)))).ok());
}

TEST_F(RewrapTest, AnUnsignedFileMayBeChangedUnsigned) {
  test::Sample sample;
  const Bytes without = seal(sample);
  const Bytes after = rewrapped(without, [](RewrapJob& job) {
    job.read.allow_unsigned = true;
    job.host = {};
    add(job, {"carol"});
  });
  EXPECT_TRUE(read_bytes(after, as("carol", test::unsigned_allowed())).ok());
}

// Before the identities are asked, which would cost a PIN or a touch.
TEST_F(RewrapTest, TheLastGenerationIsRefusedBeforeAnythingIsAsked) {
  const auto with_identities_that_fail = [](RewrapJob& job) {
    add(job, {"carol"});
    job.read.identities = [](HelperChannel&) -> Result<test::Identities> {
      return Error{Code::failed, "somebody was asked", 0};
    };
  };
  forge.change_slots(forge.header.slots, largest_generation, &origin);
  expect_error(forge.build(nullptr), Code::failed, "as often as a file can be",
               with_identities_that_fail);
  forge.change_slots(forge.header.slots, largest_generation - 1, &origin);
  expect_error(forge.build(nullptr), Code::failed, "somebody was asked", with_identities_that_fail);
  const Bytes after = rewrapped(forge.build(nullptr), [](RewrapJob& job) { add(job, {"carol"}); });
  EXPECT_EQ(header_of(after).generation, largest_generation);
  EXPECT_TRUE(read_as("carol", after).ok());
}

TEST_F(RewrapTest, WhatNobodyCanSignIsRefusedBeforeAnythingIsAsked) {
  expect_error(file, Code::usage, "cannot sign the change", [](RewrapJob& job) {
    job.host = {};
    add(job, {"carol"});
    job.read.identities = [](HelperChannel&) -> Result<test::Identities> {
      return Error{Code::failed, "somebody was asked", 0};
    };
  });
}

TEST_F(RewrapTest, AnExclusiveFileIsNotChanged) {
  test::Sample sample;
  sample.suite = Suite::aes_256_gcm_exclusive;
  sample.origin = &origin;
  expect_error(seal(sample), Code::usage, "exclusive", [](RewrapJob& job) { add(job, {"carol"}); });
}

TEST_F(RewrapTest, WithoutTheDataKeyNothingIsChanged) {
  expect_error(file, Code::no_slot, "no slot", [](RewrapJob& job) {
    add(job, {"carol"});
    job.read.identities = [](HelperChannel&) { return test::identities_for({"stranger"}); };
  });
}

// The new header would be under the writer's own signature.
TEST_F(RewrapTest, WhatAReaderWouldRefuseIsNotChanged) {
  const auto add_carol = [](RewrapJob& job) { add(job, {"carol"}); };
  remove_bob(&stranger);
  expect_error(forge.build(nullptr), Code::untrusted, "not trusted here", add_carol);
  Bytes damaged = file;
  damaged[damaged.size() - block_size - 100] ^= 1;  // the manifest
  expect_error(damaged, Code::integrity, "signature", add_carol);
  Forge other(file, "alice");
  other.page<EndPage>().chunk_count = 7;
  expect_error(other.build(&origin), Code::integrity, "manifest", add_carol);
  const Secret wrong = std::move(Secret::copy_of(Bytes(32, 1))).value();
  const Bytes block = header_of(file).serialize(wrong);
  expect_error(with_header_copies(file, block, block), Code::integrity, "MAC", add_carol);
}

TEST_F(RewrapTest, OneSlotStays) {
  expect_error(file, Code::usage, "no slot would be left", [](RewrapJob& job) {
    remove(job, "alice");
    remove(job, "bob");
  });
  expect_error(file, Code::usage, "no slot carol to remove",
               [](RewrapJob& job) { remove(job, "carol"); });
}

TEST_F(RewrapTest, WhatDoesNotFitIsRefused) {
  expect_error(file, Code::failed, "no room", [](RewrapJob& job) {
    std::vector<std::string> words(80);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = std::to_string(i);
    add(job, words);
  });
}

TEST_F(RewrapTest, AChangeThatWasInterruptedIsCompleted) {
  const Bytes older = forge.header_block();
  remove_bob(&helper);
  const Bytes newer = forge.header_block();
  for (const Bytes& mixed :
       {with_header_copies(file, older, newer), with_header_copies(file, newer, older)}) {
    const Bytes after = rewrapped(mixed, [](RewrapJob&) {});
    EXPECT_TRUE(changed);
    EXPECT_TRUE(after == with_header_copies(file, newer, newer)) << "the generation stays";
  }
  EXPECT_EQ(signatures, 0);
}

TEST_F(RewrapTest, ADamagedCopyIsMended) {
  for (const std::size_t at : {block_size + 100, block_size + test::small_header + 100}) {
    Bytes damaged = file;
    damaged[at] ^= 1;
    EXPECT_TRUE(rewrapped(damaged, [](RewrapJob&) {}) == file);
  }
  EXPECT_TRUE(rewrapped(file, [](RewrapJob&) {}) == file);
  EXPECT_FALSE(changed);
}

// First the copy that was not chosen, so that one of the two is whole at any moment.
TEST_F(RewrapTest, TheChosenCopyIsWrittenLast) {
  const auto offsets_of = [&](const Bytes& bytes) {
    const UniqueFd fd = memory_file(bytes);
    RewrapJob job = job_for(fd.get());
    add(job, {"carol"});
    const auto change = test::must(rewrap_in_helper(job, events())).header_change();
    return std::vector<std::uint64_t>(change.offsets().begin(), change.offsets().end());
  };
  const std::uint64_t copy0 = block_size;
  const std::uint64_t copy1 = block_size + test::small_header;
  EXPECT_EQ(offsets_of(file), (std::vector{copy1, copy0}));
  const Bytes older = forge.header_block();
  remove_bob(&helper);
  EXPECT_EQ(offsets_of(with_header_copies(file, older, forge.header_block())),
            (std::vector{copy0, copy1}));
}

TEST_F(RewrapTest, WhatIsShreddedHasNoHeader) {
  const UniqueFd fd = memory_file(file);
  ShredJob job;
  job.sealed_fd = fd.get();
  job.dry_run = true;
  ASSERT_TRUE(shred_in_helper(job, {}).ok());
  EXPECT_TRUE(test::content_of(fd.get()) == file);
  job.dry_run = false;
  ASSERT_TRUE(shred_in_helper(job, {}).ok());
  const Bytes after = test::content_of(fd.get());
  EXPECT_EQ(read_as("alice", after).error().code, Code::integrity);
  const ByteView rest = ByteView(after).subspan(test::small_data_start);
  EXPECT_TRUE(same_bytes(rest, ByteView(file).subspan(test::small_data_start)));
}

}  // namespace
}  // namespace ckptseal
