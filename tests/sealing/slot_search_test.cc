// SPDX-License-Identifier: Apache-2.0
//
// sealing/slot_search.h: the table of docs/format.md, "Which slot opens", row by row.
#include "sealing/slot_search.h"

#include <gtest/gtest.h>

#include "forge.h"
#include "keymgr/threshold/threshold.h"

namespace ckptseal {
namespace {

using test::DoubleIdentity;
using test::DoubleOrigin;
using test::FailingIdentity;
using test::Forge;
using test::Identities;
using test::trusting;

std::string said(Code code) {
  return "it fails as it was asked to: " + std::string(reason_word(code));
}

// A signed file with a slot of "first" in front of one of alice.
class SlotSearchTest : public testing::Test {
 protected:
  SlotSearchTest() { open(seal(sample())); }

  test::Sample sample() const {
    test::Sample out;
    out.words = {"first", "alice"};
    out.origin = &origin;
    return out;
  }
  void open(const Bytes& bytes) {
    fd = test::memory_file(bytes);
    file.emplace(test::must(SealedFile::open(fd.get())));
    const Result<SignatureState> verified = file->verify_origin(settings.trust());
    ASSERT_TRUE(verified.ok()) << verified.error().message;
  }
  Result<UnlockedSlot> find(const Identities& identities,
                            std::optional<std::size_t> only = std::nullopt) {
    warnings.clear();
    SlotSearch search{identities, settings.trust(), only, {}};
    search.warn = [this](const std::string& sentence) { warnings.push_back(sentence); };
    return find_slot(*file, search);
  }
  // Puts an identity in front of that of alice, or alone.
  template <typename T, typename... Arguments>
  static Identities with(bool alice, Arguments... arguments) {
    Identities out;
    out.push_back(std::make_unique<T>(arguments...));
    if (alice) out.push_back(std::make_unique<DoubleIdentity>("alice"));
    return out;
  }
  // The slot of alice opens, behind what is warned of.
  void expect_opens(const Identities& identities, const std::vector<std::string>& warned) {
    const Result<UnlockedSlot> slot = find(identities);
    ASSERT_TRUE(slot.ok()) << slot.error().message;
    EXPECT_EQ(slot.value().index, alice_at);
    EXPECT_EQ(warnings, warned);
  }
  void expect_code(const Identities& identities, Code code,
                   const std::vector<std::string>& warned = {}) {
    const Result<UnlockedSlot> slot = find(identities);
    ASSERT_FALSE(slot.ok());
    EXPECT_EQ(slot.error().code, code) << slot.error().message;
    EXPECT_EQ(warnings, warned);
  }

  DoubleOrigin origin;
  test::ReadSettings settings = trusting(origin);
  UniqueFd fd;
  std::optional<SealedFile> file;
  std::vector<std::string> warnings;
  std::size_t alice_at = 1;
};

TEST_F(SlotSearchTest, ForSomebodyElse) {
  expect_opens(with<DoubleIdentity>(true, "stranger"), {});
  expect_code(with<DoubleIdentity>(false, "stranger"), Code::no_slot);
  expect_code({}, Code::no_slot);
}

// A form, algorithm or KDF that is not known; not as the page says; more memory or work than
// allowed; locked; not there or gone.
TEST_F(SlotSearchTest, WhatIsSkippedWithAWarning) {
  for (const Code code : {Code::no_slot, Code::integrity, Code::failed, Code::locked,
                          Code::unavailable, Code::untrusted}) {
    expect_opens(with<FailingIdentity>(true, code, "first"), {said(code)});
    expect_code(with<FailingIdentity>(false, code, "first"), code);
  }
}

// A wrong passphrase, recovery key or PIN, a policy that is not met; what it limits is used up.
TEST_F(SlotSearchTest, WhatWasTried) {
  for (const Code code : {Code::policy, Code::revoked}) {
    expect_opens(with<FailingIdentity>(true, code, "first"), {});
    expect_code(with<FailingIdentity>(false, code, "first"), code);
  }
}

TEST_F(SlotSearchTest, AKeyThatIsNotThisFiles) {
  for (const std::size_t size : {1U, 31U, 32U, 33U}) {
    const Result<UnlockedSlot> slot =
        find(with<test::WrongKeyIdentity>(true, "first", std::size_t{size}));
    ASSERT_TRUE(slot.ok()) << slot.error().message;
    EXPECT_EQ(slot.value().index, 1U);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("slot 0"), std::string::npos) << warnings[0];
    expect_code(with<test::WrongKeyIdentity>(false, "first", std::size_t{size}), Code::integrity);
  }
}

// Counts how often what it opened was about to be used, and may fail then.
class UsedIdentity : public DoubleIdentity {
 public:
  explicit UsedIdentity(std::string word, Status before = {})
      : DoubleIdentity(std::move(word)), before_(std::move(before)) {}
  Status before_use() override {
    ++used;
    return before_;
  }
  int used = 0;

 private:
  Status before_;
};

// As by a TPM whose PCR cannot be capped, whichever slot opens: no other way is tried then.
TEST_F(SlotSearchTest, WhatCannotBeCappedIsNotUsed) {
  const Status failure = Error{Code::unavailable, "it is gone", 0};
  expect_code(with<UsedIdentity>(true, "first", failure), Code::unavailable);
  expect_code(with<UsedIdentity>(true, "stranger", failure), Code::unavailable);
  Identities good = with<UsedIdentity>(true, "first");
  const auto* first = static_cast<UsedIdentity*>(good[0].get());
  EXPECT_EQ(find(good).value().index, 0U);
  EXPECT_EQ(first->used, 1);
  Identities none = with<UsedIdentity>(false, "stranger");
  expect_code(none, Code::no_slot);
  EXPECT_EQ(static_cast<UsedIdentity*>(none[0].get())->used, 0) << "nothing opens";
}

// In the first slot a threshold, of which two shares are needed.
class ThresholdSearchTest : public SlotSearchTest {
 protected:
  ThresholdSearchTest() {
    const UniqueFd out = test::memory_file();
    const UniqueFd spool = test::memory_file();
    SealOptions options;
    options.origin = origin.identity();
    test::Recipients recipients;
    recipients.push_back(
        std::make_unique<ThresholdRecipient>(2, test::recipients_for({"a", "b", "c"})));
    recipients.push_back(std::make_unique<test::DoubleRecipient>("alice"));
    FileWriter writer = test::must(FileWriter::start(out.get(), spool.get(), options, recipients));
    FileWriter::Image image = test::must(writer.add_image("stream"));
    EXPECT_TRUE(image.finish().ok());
    const auto sign = [&](const Digest& digest) -> Result<EcdsaSignature> {
      return origin.sign(digest);
    };
    EXPECT_TRUE(writer.finish(sign).ok());
    open(test::content_of(out.get()));
  }
  // Of shares it is told at once, where those of slots are.
  SkipWarning warn = [this](const std::string& sentence) { warnings.push_back(sentence); };

  DoubleIdentity a{"a"};
  DoubleIdentity b{"b"};
};

TEST_F(ThresholdSearchTest, ItsSharesSayWhatItIs) {
  for (const Code code : {Code::policy, Code::locked, Code::failed}) {
    FailingIdentity failing(code, "b");
    const std::vector<Identity*> too_few = {&a, &failing};
    expect_code(with<ThresholdIdentity>(false, too_few), code);
    expect_opens(with<ThresholdIdentity>(true, too_few),
                 is_skipped(code) ? std::vector{said(code)} : std::vector<std::string>());
  }
  DoubleIdentity nobody("x");
  expect_code(with<ThresholdIdentity>(false, std::vector<Identity*>{&nobody}), Code::no_slot);
  const Result<UnlockedSlot> opened =
      find(with<ThresholdIdentity>(true, std::vector<Identity*>{&a, &b}));
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened.value().index, 0U);
}

// A wrong PIN tells of itself, whatever its owner gave before; whose a passphrase is only trying it
// tells.
TEST_F(ThresholdSearchTest, WhoGaveAValueCanBeWrongForTheNext) {
  class HalfWrong : public DoubleIdentity {
   public:
    HalfWrong() : DoubleIdentity("a") {}
    Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override {
      if (test::is_slot_of(slot, "b")) return Error{Code::policy, "a wrong PIN", 0};
      return DoubleIdentity::unwrap(slot, of);
    }
  } half_wrong;
  expect_code(with<ThresholdIdentity>(false, std::vector<Identity*>{&half_wrong}), Code::policy);
}

// A share is warned of by the threshold, and by the search when it is why the slot did not open.
TEST_F(ThresholdSearchTest, WhatAShareSaysIsToldOnce) {
  FailingIdentity failing(Code::integrity, "b");
  const std::vector<Identity*> too_few = {&a, &failing};
  expect_opens(with<ThresholdIdentity>(true, too_few, warn), {said(Code::integrity)});
  expect_code(with<ThresholdIdentity>(false, too_few, warn), Code::integrity, {});
}

// Of two that fail, whichever comes first.
TEST_F(SlotSearchTest, WhichOfSeveralReasonsIsTheAnswer) {
  constexpr Code by_weight[] = {Code::locked, Code::unavailable, Code::policy,    Code::revoked,
                                Code::failed, Code::integrity,   Code::untrusted, Code::no_slot};
  for (std::size_t heavy = 0; heavy < std::size(by_weight); ++heavy) {
    for (std::size_t light = heavy + 1; light < std::size(by_weight); ++light) {
      for (const bool heavy_first : {true, false}) {
        Identities both;
        both.push_back(
            std::make_unique<FailingIdentity>(by_weight[heavy], heavy_first ? "first" : "alice"));
        both.push_back(
            std::make_unique<FailingIdentity>(by_weight[light], heavy_first ? "alice" : "first"));
        std::vector<std::string> warned;
        if (is_skipped(by_weight[light])) warned = {said(by_weight[light])};
        expect_code(both, by_weight[heavy], warned);
      }
    }
  }
}

TEST_F(SlotSearchTest, OfEqualReasonsTheFirstIsTold) {
  Identities both;
  both.push_back(std::make_unique<FailingIdentity>(Code::failed, "alice", "the second slot"));
  both.push_back(std::make_unique<FailingIdentity>(Code::failed, "first", "the first slot"));
  const Result<UnlockedSlot> slot = find(both);
  ASSERT_FALSE(slot.ok());
  EXPECT_EQ(slot.error().message, "the first slot");
  EXPECT_EQ(warnings, std::vector<std::string>{"the second slot"});
}

// As of two passphrases, each of which reads the slot.
TEST_F(SlotSearchTest, AWarningIsToldOnce) {
  Identities all;
  all.push_back(std::make_unique<FailingIdentity>(Code::integrity, "first"));
  all.push_back(std::make_unique<FailingIdentity>(Code::integrity, "first"));
  all.push_back(std::make_unique<DoubleIdentity>("alice"));
  expect_opens(all, {said(Code::integrity)});
}

TEST_F(SlotSearchTest, SlotsFirstThenIdentities) {
  std::vector<SlotBody> asked;
  Identities both;
  for (const char* word : {"stranger", "alice"}) {
    both.push_back(
        std::make_unique<test::WatchedIdentity>(std::make_unique<DoubleIdentity>(word), asked));
  }
  ASSERT_TRUE(find(both).ok());
  ASSERT_EQ(asked.size(), 4U);
  EXPECT_TRUE(test::is_slot_of(asked[0], "first") && test::is_slot_of(asked[1], "first"));
  EXPECT_TRUE(test::is_slot_of(asked[2], "alice") && test::is_slot_of(asked[3], "alice"));
}

TEST_F(SlotSearchTest, BehindTheOneThatOpensNothingIsTried) {
  std::vector<SlotBody> asked;
  Identities identities;
  for (const char* word : {"first", "alice"}) {
    identities.push_back(
        std::make_unique<test::WatchedIdentity>(std::make_unique<DoubleIdentity>(word), asked));
  }
  const Result<UnlockedSlot> slot = find(identities);
  ASSERT_TRUE(slot.ok());
  EXPECT_EQ(slot.value().index, 0U);
  EXPECT_EQ(asked.size(), 1U);
}

// A wrong call, not a matter of the file.
TEST_F(SlotSearchTest, AMistakeOfTheCallerEndsTheSearch) {
  expect_code(with<FailingIdentity>(true, Code::usage, "first"), Code::usage);
  expect_code(with<FailingIdentity>(false, Code::usage, "first"), Code::usage);
}

TEST_F(SlotSearchTest, OneSlotCanBeAskedFor) {
  const Identities alice = test::identities_for({"alice"});
  EXPECT_EQ(find(alice, 1).value().index, 1U);
  EXPECT_EQ(find(alice, 0).error().code, Code::no_slot);
  EXPECT_EQ(find(alice, 2).error().code, Code::no_slot);
  // What is wrong with the others is not looked at.
  EXPECT_TRUE(find(with<FailingIdentity>(true, Code::locked, "first"), 1).ok());
  EXPECT_TRUE(warnings.empty());
}

class NotVouchedTest : public SlotSearchTest {
 protected:
  // "first" was put there by somebody who may not.
  void open_with(const Slot& slot, const Forge& from) {
    Forge changed(from.build(nullptr), "alice");
    changed.change_slots({slot, changed.header.slots[1]}, 2, &origin);
    open(changed.build(nullptr));
  }
  // Nothing is tried with it, though whoever is asked could open it.
  void expect_untouched(Code code) {
    std::vector<SlotBody> asked;
    const auto watched = [&](const char* word) {
      return std::make_unique<test::WatchedIdentity>(std::make_unique<DoubleIdentity>(word), asked);
    };
    Identities alone;
    alone.push_back(watched("first"));
    expect_code(alone, code);
    for (const SlotBody& slot : asked) EXPECT_TRUE(test::is_slot_of(slot, "alice"));
    EXPECT_EQ(asked.size(), 1U);
    asked.clear();
    Identities both;
    both.push_back(watched("first"));
    both.push_back(watched("alice"));
    const Result<UnlockedSlot> slot = find(both);
    ASSERT_TRUE(slot.ok()) << slot.error().message;
    EXPECT_EQ(slot.value().index, 1U);
    EXPECT_EQ(asked.size(), 2U);
    EXPECT_EQ(warnings.size(), 1U);
  }

  const Bytes whole = seal(sample());
  Forge forge{whole, "alice"};
  DoubleOrigin stranger{"host-s"};
};

TEST_F(NotVouchedTest, NotListed) {
  open_with(forge.slot_for("first"), forge);
  const Result<UnlockedSlot> twin = find(test::identities_for({"first"}));
  EXPECT_TRUE(twin.ok()) << "the same bytes stand in the list";
  Slot other = forge.slot_for("first");
  other.body.kind = test::exclusive_double_kind;
  open_with(other, forge);
  expect_untouched(Code::integrity);
}

TEST_F(NotVouchedTest, TheAddersSignatureDoesNotHold) {
  Slot slot = forge.slot_for("first", &stranger, 2);
  slot.adder->host = origin.identity();
  open_with(slot, forge);
  expect_untouched(Code::integrity);
  open_with(forge.slot_for("first", &origin, 2), forge);
  EXPECT_TRUE(find(test::identities_for({"first"})).ok()) << "the twin";
}

TEST_F(NotVouchedTest, TheAdderIsNotTrusted) {
  open_with(forge.slot_for("first", &stranger, 2), forge);
  expect_untouched(Code::untrusted);
  settings = trusting({&origin, &stranger});
  EXPECT_TRUE(find(test::identities_for({"first"})).ok()) << "the twin";
}

TEST_F(NotVouchedTest, UnsignedAndThatIsNotAllowed) {
  open_with(forge.slot_for("first", nullptr, 2), forge);
  expect_untouched(Code::untrusted);
  settings.allow_unsigned = true;
  EXPECT_TRUE(find(test::identities_for({"first"})).ok()) << "the twin";
}

}  // namespace
}  // namespace ckptseal
