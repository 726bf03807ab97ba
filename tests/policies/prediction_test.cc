// SPDX-License-Identifier: Apache-2.0
//
// Predictions from the log of one real boot against what the TPM held after another.
#include "policies/prediction.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/crypto.h"
#include "recorded_log.h"

namespace ckptseal {
namespace {

using test::recorded_file;
using test::recorded_log;
using test::recorded_pcrs;

const PcrSelection all = PcrSelection::of_mask(0xfffbff).value();  // but 10, which is IMA's

Prediction of(const char* log) {
  return Prediction::of_log(EventLog::parse(recorded_log(log)).value()).value();
}

Digest digest_of_hex(std::string_view hex) {
  const Bytes bytes = from_hex(hex).value();
  Digest out{};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// What event_logs/image_digests.py said of the image, put together as the stub of `version` does.
UnifiedImage recorded_image(const std::string& name, unsigned version) {
  const Bytes content = recorded_file(name + ".image");
  std::string_view rest = as_text(content);
  UnifiedImage out;
  out.kernel_version = {6, 1};
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    const std::string_view what = line.substr(0, line.find(' '));
    const Digest digest = digest_of_hex(line.substr(what.size() + 1));
    if (what == "image") {
      out.image = digest;
    } else if (what == "kernel") {
      out.kernel = digest;
    } else if (what == "options") {
      out.options = digest;
    } else if (what != ".sbat" || version == 257) {
      out.sections.emplace_back(what, digest);
    }
    if (what == ".initrd" && version == 252) out.initrd = digest;
  }
  if (out.has(".pcrpkey")) out.initrd.reset();
  return out;
}

void expect_boot(const Prediction& prediction, const PcrSelection& selection, const char* boot) {
  const Result<PcrState> state = prediction.state(selection);
  ASSERT_TRUE(state.ok()) << state.error().message;
  const PcrBank held = recorded_pcrs(boot);
  for (const auto& [pcr, value] : state.value().pcrs) {
    EXPECT_EQ(to_hex(value), to_hex(held[pcr])) << boot << " " << pcr;
  }
}

void expect_refused(const Status& status, std::string_view word) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message.back(), '.');
  EXPECT_NE(status.error().message.find(word), std::string::npos) << status.error().message;
}

void expect_unknown(const Prediction& prediction, const PcrSelection& selection, unsigned pcr) {
  const Result<PcrState> state = prediction.state(selection);
  ASSERT_FALSE(state.ok());
  EXPECT_EQ(state.error().code, Code::failed);
  EXPECT_EQ(state.error().message.find("PCR " + std::to_string(pcr) + " "), 0U)
      << state.error().message;
}

PcrSelection select(std::string_view text) { return PcrSelection::parse(text).value(); }

TEST(PredictionTest, OfTheSameBootIsWhatItWas) {
  for (const char* name : test::recorded_logs) expect_boot(of(name), all, name);
}

TEST(PredictionTest, AnotherUnifiedImage) {
  Prediction prediction = of("uki");
  const UnifiedImage booted = recorded_image("uki", 252);
  ASSERT_TRUE(prediction.replace_unified_image(&booted, recorded_image("uki-changed", 252)).ok());
  expect_boot(prediction, all, "uki-changed");
  EXPECT_FALSE(prediction.conditions().empty());
}

TEST(PredictionTest, AnotherStubMeasuresOtherSections) {
  Prediction prediction = of("uki");
  const UnifiedImage booted = recorded_image("uki", 252);
  ASSERT_TRUE(prediction.replace_unified_image(&booted, recorded_image("uki-257", 257)).ok());
  expect_boot(prediction, select("0,1,2,3,4,5,6,7,8,11,12,14"), "uki-257");
  expect_unknown(prediction, select("9"), 9);
}

TEST(PredictionTest, FromOneImageWithAKeyToAnother) {
  Prediction prediction = of("uki-pcrkey");
  const UnifiedImage booted = recorded_image("uki-pcrkey", 252);
  ASSERT_TRUE(
      prediction.replace_unified_image(&booted, recorded_image("uki-pcrkey-257", 257)).ok());
  expect_boot(prediction, select("4,11,12"), "uki-pcrkey-257");
  expect_unknown(prediction, select("9"), 9);
}

TEST(PredictionTest, WithoutTheBootedImageTheKernelsPcrIsUnknown) {
  Prediction prediction = of("uki");
  ASSERT_TRUE(prediction.replace_unified_image(nullptr, recorded_image("uki-changed", 252)).ok());
  expect_boot(prediction, select("0,4,7,11,12"), "uki-changed");
  expect_unknown(prediction, select("4,9"), 9);
}

TEST(PredictionTest, ALogOfAnotherImageIsRefused) {
  const UnifiedImage next = recorded_image("uki-changed", 252);
  const UnifiedImage right = recorded_image("uki", 252);
  for (const int change : {0, 1, 2, 3, 4}) {
    UnifiedImage booted = right;
    if (change == 0) booted.image[0] ^= 1;
    if (change == 1) booted.kernel[0] ^= 1;
    if (change == 2) booted.sections[1].second[0] ^= 1;
    if (change == 3) booted.sections[1].first = ".dtb";
    if (change == 4) booted.sections.pop_back();
    Prediction prediction = of("uki");
    expect_refused(prediction.replace_unified_image(&booted, next), "not of a boot");
  }
}

TEST(PredictionTest, AnOlderKernelIsNotGuessed) {
  Prediction prediction = of("uki");
  const UnifiedImage booted = recorded_image("uki", 252);
  UnifiedImage next = recorded_image("uki-changed", 252);
  next.kernel_version = {5, 19};
  ASSERT_TRUE(prediction.replace_unified_image(&booted, next).ok());
  expect_unknown(prediction, select("9"), 9);
}

TEST(PredictionTest, ACommandLineInTheImageMustStayThere) {
  UnifiedImage next = recorded_image("uki-changed", 252);
  next.sections.erase(next.sections.begin() + 2);
  ASSERT_FALSE(next.has(".cmdline"));
  Prediction prediction = of("uki");
  expect_refused(prediction.replace_unified_image(nullptr, next), "command line");
}

TEST(PredictionTest, AnotherImageOfTheSameEntry) {
  Prediction prediction = of("entry");
  const UnifiedImage booted = recorded_image("entry", 252);
  ASSERT_TRUE(prediction.replace_unified_image(&booted, recorded_image("entry-changed", 252)).ok());
  ASSERT_TRUE(prediction.replace_command_line("console=ttyS0 panic=1 quiet").ok());
  expect_boot(prediction, all, "entry-changed");
}

TEST(PredictionTest, ACommandLineOfGrubNeedsItsConfiguration) {
  const std::string before = "linux /vmlinuz console=ttyS0 panic=1\ninitrd /initrd.img\nboot\n";
  const std::string after =
      "linux /vmlinuz console=ttyS0 panic=1 quiet\ninitrd /initrd.img\nboot\n";
  Prediction prediction = of("shim-grub");
  ASSERT_TRUE(prediction.replace_command_line("console=ttyS0 panic=1 quiet").ok());
  expect_boot(prediction, select("0,2,4,7,8,11,12"), "shim-grub-changed");
  expect_unknown(prediction, select("9"), 9);
  ASSERT_TRUE(
      prediction.replace_grub_file(Sha256::of(as_bytes(before)), Sha256::of(as_bytes(after))).ok());
  expect_boot(prediction, all, "shim-grub-changed");
}

TEST(PredictionTest, CommandLinesThatCannotBe) {
  Prediction embedded = of("uki");
  expect_refused(embedded.replace_command_line("quiet"), "no command line of a boot loader");
  for (const char* text : {"", "a\nb", "caf\xc3\xa9"}) {
    Prediction prediction = of("entry");
    const Status status = prediction.replace_command_line(text);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.error().code, Code::usage);
  }
}

TEST(PredictionTest, ABootLoaderIsReplacedByItsDigest) {
  const Digest next = Sha256::of(as_bytes("another shim"));
  Prediction prediction = of("shim-grub");
  const Result<EventLog> log = EventLog::parse(recorded_log("shim-grub"));
  Digest expected = log.value().start_values()[4];
  Digest shim{};
  for (const LoggedEvent& event : log.value().events()) {
    if (event.pcr != 4) continue;
    const bool first = event.type == ev_efi_boot_services_application && all_zero(shim);
    if (first) shim = event.digest;
    expected = extended(expected, first ? next : event.digest);
  }
  ASSERT_TRUE(prediction.replace_image(shim, next).ok());
  EXPECT_EQ(prediction.state(select("4")).value().pcrs.at(4), expected);
  EXPECT_FALSE(prediction.conditions().empty());  // Secure Boot
  expect_refused(prediction.replace_image(shim, next), "not extended");
  expect_refused(prediction.replace_grub_file(shim, next), "not extended");
}

TEST(PredictionTest, NoUnifiedImageNoReplacement) {
  Prediction prediction = of("shim-grub");
  expect_refused(prediction.replace_unified_image(nullptr, recorded_image("uki", 252)), "PCR 11");
}

TEST(PredictionTest, Pcr10IsNever) { EXPECT_FALSE(PcrSelection::of_mask(1U << 10).ok()); }

TEST(PredictionTest, ALogThatIsNotBelievedIsRefused) {
  Bytes log = recorded_log("uki");
  // A letter of "Calling EFI Application": the PCRs replay as before.
  const std::string_view words = "Calling EFI";
  const auto at = std::search(log.begin(), log.end(), words.begin(), words.end());
  ASSERT_NE(at, log.end());
  *at ^= 1;
  const Result<EventLog> parsed = EventLog::parse(log);
  ASSERT_TRUE(parsed.ok());
  const Result<Prediction> prediction = Prediction::of_log(parsed.value());
  ASSERT_FALSE(prediction.ok());
  EXPECT_EQ(prediction.error().code, Code::integrity);
}

}  // namespace
}  // namespace ckptseal
