// SPDX-License-Identifier: Apache-2.0
//
// Logs of real boots replay to what the TPM held, and no damaged log does.
#include "policies/event_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "recorded_log.h"

namespace ckptseal {
namespace {

using test::recorded_log;
using test::recorded_logs;
using test::recorded_pcrs;

constexpr unsigned ima = 10;  // the kernel's: measured after the log ends

Bytes le(std::uint64_t value, std::size_t width) {
  Bytes out;
  for (std::size_t i = 0; i < width; ++i) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
  return out;
}

// A log made by hand, to have each field wrong on its own.
struct MadeLog {
  std::uint32_t header_pcr = 0;
  std::uint32_t header_type = ev_no_action;
  std::string signature = std::string("Spec ID Event03\0", 16);
  std::uint32_t algorithm_count = 1;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> algorithms = {{0x000b, 32}};
  std::uint8_t vendor_size = 0;
  Bytes header_tail;
  Bytes events;

  static void add(Bytes& out, const Bytes& more) {
    out.insert(out.end(), more.begin(), more.end());
  }

  MadeLog& event(std::uint32_t pcr, std::uint32_t type, const Bytes& data,
                 const std::vector<std::pair<std::uint16_t, std::size_t>>& digests = {{0x000b, 32}},
                 std::optional<std::uint32_t> count = {}, std::optional<std::uint32_t> size = {}) {
    add(events, le(pcr, 4));
    add(events, le(type, 4));
    add(events, le(count.value_or(static_cast<std::uint32_t>(digests.size())), 4));
    for (const auto& [algorithm, length] : digests) {
      add(events, le(algorithm, 2));
      add(events, Bytes(length, 7));
    }
    add(events, le(size.value_or(static_cast<std::uint32_t>(data.size())), 4));
    add(events, data);
    return *this;
  }

  Bytes bytes() const {
    Bytes spec(signature.begin(), signature.end());
    add(spec, Bytes(8, 0));
    add(spec, le(algorithm_count, 4));
    for (const auto& [algorithm, size] : algorithms) {
      add(spec, le(algorithm, 2));
      add(spec, le(size, 2));
    }
    add(spec, le(vendor_size, 1));
    add(spec, header_tail);
    Bytes out = le(header_pcr, 4);
    add(out, le(header_type, 4));
    add(out, Bytes(20, 0));
    add(out, le(spec.size(), 4));
    add(out, spec);
    add(out, events);
    return out;
  }
};

Bytes startup_locality(std::uint8_t locality) {
  const std::string_view text("StartupLocality\0", 16);
  Bytes out(text.begin(), text.end());
  out.push_back(locality);
  return out;
}

void expect_refused(ByteView log, const std::string& what) {
  const Result<EventLog> parsed = EventLog::parse(log);
  ASSERT_FALSE(parsed.ok()) << what;
  EXPECT_EQ(parsed.error().code, Code::integrity) << what;
  EXPECT_EQ(parsed.error().message.back(), '.') << what;
}

TEST(EventLogTest, ReplaysToWhatTheTpmHeld) {
  for (const char* name : recorded_logs) {
    const Result<EventLog> log = EventLog::parse(recorded_log(name));
    ASSERT_TRUE(log.ok()) << name << ": " << log.error().message;
    const PcrBank replayed = log.value().replay();
    const PcrBank held = recorded_pcrs(name);
    for (unsigned pcr = 0; pcr < PcrSelection::count; ++pcr) {
      if (pcr == ima) continue;
      EXPECT_EQ(to_hex(replayed[pcr]), to_hex(held[pcr])) << name << " " << pcr;
    }
  }
}

TEST(EventLogTest, ACutLogIsRefusedOrReplaysToSomethingElse) {
  for (const char* name : recorded_logs) {
    const Bytes whole = recorded_log(name);
    const PcrBank held = EventLog::parse(whole).value().replay();
    std::size_t at_boundaries = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Result<EventLog> cut = EventLog::parse(ByteView(whole).first(size));
      if (!cut.ok()) {
        EXPECT_EQ(cut.error().code, Code::integrity);
        continue;
      }
      ++at_boundaries;
      EXPECT_NE(cut.value().replay(), held) << name << " cut at " << size;
    }
    EXPECT_EQ(at_boundaries, EventLog::parse(whole).value().events().size()) << name;
  }
}

TEST(EventLogTest, AFlippedBitOfADigestReplaysToSomethingElse) {
  const Bytes whole = recorded_log("uki");
  const Result<EventLog> log = EventLog::parse(whole);
  const PcrBank held = log.value().replay();
  std::size_t found = 0;
  for (const LoggedEvent& event : log.value().events()) {
    auto at = std::search(whole.begin(), whole.end(), event.digest.begin(), event.digest.end());
    ASSERT_NE(at, whole.end());
    Bytes flipped = whole;
    flipped[static_cast<std::size_t>(at - whole.begin())] ^= 1;
    const Result<EventLog> parsed = EventLog::parse(flipped);
    ASSERT_TRUE(parsed.ok());
    EXPECT_NE(parsed.value().replay(), held) << event.number;
    ++found;
  }
  EXPECT_GT(found, 30U);
}

TEST(EventLogTest, BytesBehindTheEndAreRefused) {
  for (const std::size_t more : {1U, 2U, 12U, 100U}) {
    for (const int fill : {0, 0xff}) {
      Bytes log = recorded_log("uki");
      log.insert(log.end(), more, static_cast<std::uint8_t>(fill));
      expect_refused(log, std::to_string(more));
    }
  }
}

TEST(EventLogTest, TheHeaderIsExact) {
  EXPECT_TRUE(EventLog::parse(MadeLog().bytes()).ok());
  const auto with = [](auto change) {
    MadeLog log;
    change(log);
    return log.bytes();
  };
  expect_refused(with([](MadeLog& log) { log.header_pcr = 1; }), "PCR");
  expect_refused(with([](MadeLog& log) { log.header_type = ev_separator; }), "type");
  expect_refused(with([](MadeLog& log) { log.signature[13] = '2'; }), "signature");
  expect_refused(with([](MadeLog& log) { log.algorithm_count = 0; }), "none");
  expect_refused(with([](MadeLog& log) { log.algorithm_count = 2; }), "one more than there is");
  expect_refused(with([](MadeLog& log) { log.algorithm_count = 0xffffffff; }), "absurd");
  expect_refused(with([](MadeLog& log) { log.algorithms[0].second = 20; }), "size of another");
  expect_refused(with([](MadeLog& log) { log.algorithms[0].second = 0; }), "no size");
  expect_refused(with([](MadeLog& log) { log.algorithms[0] = {0x0099, 32}; }), "unknown");
  expect_refused(with([](MadeLog& log) { log.algorithms[0] = {0x0004, 20}; }), "no SHA-256");
  expect_refused(with([](MadeLog& log) {
                   log.algorithm_count = 2;
                   log.algorithms.emplace_back(0x000b, 32);
                 }),
                 "twice");
  expect_refused(with([](MadeLog& log) { log.vendor_size = 1; }), "vendor information missing");
  expect_refused(with([](MadeLog& log) { log.header_tail = {1}; }), "tail");
  EXPECT_TRUE(EventLog::parse(with([](MadeLog& log) {
                log.vendor_size = 1;
                log.header_tail = {1};
              })).ok());
}

TEST(EventLogTest, AnEventIsExact) {
  EXPECT_TRUE(EventLog::parse(MadeLog().event(23, ev_separator, {1}).bytes()).ok());
  expect_refused(MadeLog().event(24, ev_separator, {1}).bytes(), "PCR");
  expect_refused(MadeLog().event(0xffffffff, ev_no_action, {1}).bytes(), "PCR of no action");
  expect_refused(MadeLog().event(0, ev_separator, {1}, {}).bytes(), "no digest");
  expect_refused(MadeLog().event(0, ev_separator, {1}, {{0x0004, 20}}).bytes(), "SHA-1 alone");
  expect_refused(MadeLog().event(0, ev_separator, {1}, {{0x0099, 32}}).bytes(), "unknown");
  expect_refused(MadeLog().event(0, ev_separator, {1}, {{11, 32}, {11, 32}}).bytes(), "two");
  expect_refused(MadeLog().event(0, ev_separator, {1}, {{11, 32}}, 0xffffffff).bytes(), "count");
  expect_refused(MadeLog().event(0, ev_separator, {1}, {{11, 32}}, 1, 0xffffffff).bytes(), "size");
  MadeLog two;
  two.algorithm_count = 2;
  two.algorithms.emplace_back(0x0004, 20);
  expect_refused(two.event(0, ev_separator, {1}).bytes(), "one digest of two");
}

TEST(EventLogTest, TheLogIsBounded) {
  expect_refused(Bytes(EventLog::largest + 1), "size");
  MadeLog log;
  for (std::size_t i = 0; i <= EventLog::most_events; ++i) log.event(1, ev_action, {});
  expect_refused(log.bytes(), "count");
}

TEST(EventLogTest, StartupLocalityIsTheFirstValueOfPcr0) {
  for (const std::uint8_t locality : ByteArray<3>{0, 3, 4}) {
    const Bytes log = MadeLog().event(0, ev_no_action, startup_locality(locality)).bytes();
    Digest start{};
    start.back() = locality;
    EXPECT_EQ(EventLog::parse(log).value().replay()[0], start);
  }
  expect_refused(MadeLog().event(0, ev_no_action, startup_locality(5)).bytes(), "locality");
  expect_refused(MadeLog().event(1, ev_no_action, startup_locality(3)).bytes(), "PCR");
  Bytes longer = startup_locality(3);
  longer.push_back(0);
  expect_refused(MadeLog().event(0, ev_no_action, longer).bytes(), "longer");
  longer.resize(16);
  expect_refused(MadeLog().event(0, ev_no_action, longer).bytes(), "shorter");
  expect_refused(MadeLog()
                     .event(0, ev_no_action, startup_locality(3))
                     .event(0, ev_no_action, startup_locality(3))
                     .bytes(),
                 "twice");
  expect_refused(
      MadeLog().event(0, ev_s_crtm_version, {}).event(0, ev_no_action, startup_locality(3)).bytes(),
      "late");
}

}  // namespace
}  // namespace ckptseal
