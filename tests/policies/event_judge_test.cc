// SPDX-License-Identifier: Apache-2.0
//
// What is believed of the events of real logs, and that nothing altered is.
#include "policies/event_judge.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/crypto.h"
#include "policies/event_text.h"
#include "recorded_log.h"

namespace ckptseal {
namespace {

using test::recorded_log;
using test::recorded_logs;

std::vector<LoggedEvent> events_of(const char* name) {
  return EventLog::parse(recorded_log(name)).value().events();
}

LoggedEvent made(unsigned pcr, std::uint32_t type, std::string_view data) {
  const ByteView bytes = as_bytes(data);
  return {1, pcr, type, Sha256::of(bytes), Bytes(bytes.begin(), bytes.end())};
}

void expect_refused(const LoggedEvent& event) {
  const Result<EventProof> proof = judge(event);
  ASSERT_FALSE(proof.ok()) << describe(event);
  EXPECT_EQ(proof.error().code, Code::integrity);
  EXPECT_EQ(proof.error().message.back(), '.');
}

TEST(EventJudgeTest, KnowsEveryEventOfRealLogs) {
  for (const char* name : recorded_logs) {
    const Result<EventLog> log = EventLog::parse(recorded_log(name));
    const Status judged = judge(log.value());
    EXPECT_TRUE(judged.ok()) << name << ": " << (judged.ok() ? "" : judged.error().message);
  }
}

TEST(EventJudgeTest, EveryFlippedBitOfMeasuredDataIsNoticed) {
  std::size_t recomputed = 0;
  for (const char* name : recorded_logs) {
    for (LoggedEvent event : events_of(name)) {
      if (judge(event).value() != EventProof::recomputed) continue;
      ++recomputed;
      for (std::size_t at = 0; at < event.data.size(); ++at) {
        // What UEFI_VARIABLE_DATA has before the content is not measured by EV_EFI_VARIABLE_BOOT,
        // and GRUB does not measure its own word and the NUL at the end.
        const bool boot = event.type == ev_efi_variable_boot;
        if (boot && at + parse_efi_variable(event.data)->data.size() < event.data.size()) continue;
        for (const std::uint8_t bit : ByteArray<2>{1, 0x80}) {
          event.data[at] ^= bit;
          EXPECT_FALSE(judge(event).ok()) << describe(event) << ", byte " << at;
          event.data[at] ^= bit;
        }
      }
    }
  }
  EXPECT_GT(recomputed, 200U);
}

TEST(EventJudgeTest, EveryFlippedDigestOfMeasuredDataIsNoticed) {
  for (const char* name : recorded_logs) {
    for (LoggedEvent event : events_of(name)) {
      // Of a section the content comes under the same words as the name: see the order below.
      if (judge(event).value() != EventProof::recomputed || event.pcr == 11) continue;
      event.digest[31] ^= 1;
      expect_refused(event);
    }
  }
}

TEST(EventJudgeTest, UnknownTypesAreRefused) {
  for (const std::uint32_t type :
       {0x2U, 0xeU, 0x14U, 0x400U, 0x80000000U, 0x8000000eU, 0x800000e5U, 0xffffffffU}) {
    expect_refused(made(4, type, "any"));
  }
}

TEST(EventJudgeTest, AnotherTypeBesideTheSameDigestIsRefused) {
  LoggedEvent event = made(4, ev_separator, std::string_view("\0\0\0\0", 4));
  EXPECT_TRUE(judge(event).ok());
  event.type = ev_efi_boot_services_application;
  expect_refused(event);
  event.type = ev_efi_variable_authority;
  expect_refused(event);
}

TEST(EventJudgeTest, ASeparatorOfAnErrorIsRefused) {
  EXPECT_TRUE(judge(made(4, ev_separator, "\xff\xff\xff\xff")).ok());
  expect_refused(made(4, ev_separator, std::string_view("\1\0\0\0", 4)));
  expect_refused(made(4, ev_separator, std::string_view("\0\0\0", 3)));
}

TEST(EventJudgeTest, BootLoadersAreKnownByTheirPcr) {
  const std::string_view list("MokList\0", 8);
  EXPECT_TRUE(judge(made(14, ev_ipl, list)).ok());
  expect_refused(made(14, ev_ipl, "MokList"));
  expect_refused(made(14, ev_ipl, std::string_view("MokLost\0", 8)));
  expect_refused(made(4, ev_ipl, list));
  expect_refused(made(8, ev_ipl, std::string_view("grub_cmd: boot\0", 15)));  // of all of it
}

TEST(EventJudgeTest, SectionsComeInPairs) {
  for (const char* name : {"uki", "uki-pcrkey-257"}) {
    const Bytes whole = recorded_log(name);
    const std::vector<LoggedEvent> events = events_of(name);
    // The log without one of its events.
    std::size_t at = whole.size();
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
      const std::size_t digests = std::string_view(name) == "uki" ? 34 : 22 + 34 + 50 + 66;
      const std::size_t size = 16 + digests + event->data.size();
      at -= size;
      if (event->pcr != 11 || event->type != ev_ipl) continue;
      Bytes without = whole;
      without.erase(without.begin() + static_cast<std::ptrdiff_t>(at),
                    without.begin() + static_cast<std::ptrdiff_t>(at + size));
      const Result<EventLog> log = EventLog::parse(without);
      ASSERT_TRUE(log.ok());
      EXPECT_FALSE(judge(log.value()).ok()) << name << " without event " << event->number;
    }
  }
}

TEST(EventTextTest, SaysWhatAUserKnows) {
  const auto first = [](const char* log, unsigned pcr, std::uint32_t type) {
    for (const LoggedEvent& event : events_of(log)) {
      if (event.pcr == pcr && event.type == type) return describe(event);
    }
    return std::string("none");
  };
  EXPECT_EQ(first("uki", 4, ev_efi_boot_services_application),
            "PCR 4: boot services application \\EFI\\BOOT\\BOOTX64.EFI");
  EXPECT_EQ(first("uki", 7, ev_efi_variable_driver_config), "PCR 7: variable SecureBoot");
  EXPECT_EQ(first("uki", 4, ev_efi_action),
            "PCR 4: action Calling EFI Application from Boot Option");
  EXPECT_EQ(first("uki", 9, ev_event_tag), "PCR 9: tagged event LOADED_IMAGE::LoadOptions");
  EXPECT_EQ(first("uki", 11, ev_ipl), "PCR 11: boot loader .linux");
  EXPECT_EQ(first("uki", 5, ev_separator), "PCR 5: separator");
  EXPECT_EQ(first("entry", 12, ev_ipl), "PCR 12: boot loader console=ttyS0 panic=1");
  EXPECT_EQ(first("shim-grub", 9, ev_ipl), "PCR 9: boot loader (hd0,gpt1)/EFI/debian/grub.cfg");
  EXPECT_EQ(describe(made(3, 0x14, "any")), "PCR 3: event of type 0x14");
  EXPECT_EQ(describe(made(12, ev_ipl, "a\nb\x1b[31m")), "PCR 12: boot loader a?b?[31m");
}

TEST(EventTextTest, MalformedStructuresAreNone) {
  for (const char* log : {"uki", "shim-grub"}) {
    for (const LoggedEvent& event : events_of(log)) {
      for (std::size_t size = 0; size < event.data.size(); ++size) {
        const ByteView cut = ByteView(event.data).first(size);
        EXPECT_FALSE(event.type == ev_efi_boot_services_application && parse_image_path(cut));
        EXPECT_FALSE(event.type == ev_efi_variable_boot && parse_efi_variable(cut));
        EXPECT_FALSE(event.type == ev_event_tag && parse_tagged_event(cut));
      }
    }
  }
}

}  // namespace
}  // namespace ckptseal
