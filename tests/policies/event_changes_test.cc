// SPDX-License-Identifier: Apache-2.0
//
// What changed from one real boot to another, and logs made by hand.
#include "policies/event_changes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "recorded_log.h"

namespace ckptseal {
namespace {

EventLog recorded(const std::string& name) {
  return EventLog::parse(test::recorded_log(name)).value();
}

std::vector<std::string> changes(const EventLog& then, const EventLog& now, unsigned pcr) {
  std::vector<std::string> out;
  for (const EventChange& change : event_changes(then, now, pcr)) {
    out.push_back(std::string(change.word()) + " " + change.event);
  }
  return out;
}

Bytes le(std::uint64_t value, std::size_t width) {
  Bytes out;
  for (std::size_t i = 0; i < width; ++i) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
  return out;
}

// A log of boot loader's words in PCR 8. A name and the digit behind it, which is in the digest
// alone.
EventLog made(const std::vector<std::string>& events) {
  Bytes out;
  const auto add = [&out](ByteView more) { out.insert(out.end(), more.begin(), more.end()); };
  const Bytes header = [] {
    Bytes spec;
    const auto put = [&spec](ByteView more) { spec.insert(spec.end(), more.begin(), more.end()); };
    put(as_bytes(std::string_view("Spec ID Event03\0", 16)));
    put(Bytes{0, 0, 0, 0, 0, 2, 0, 2});
    put(le(1, 4));
    put(le(0x000b, 2));
    put(le(32, 2));
    put(Bytes{0});
    return spec;
  }();
  add(le(0, 4));
  add(le(ev_no_action, 4));
  add(Bytes(20));
  add(le(header.size(), 4));
  add(header);
  for (const std::string& event : events) {
    add(le(8, 4));
    add(le(ev_ipl, 4));
    add(le(1, 4));
    add(le(0x000b, 2));
    add(Sha256::of(as_bytes(event)));
    const std::string words = event.substr(0, event.find_first_of("0123456789"));
    add(le(words.size() + 1, 4));
    add(as_bytes(words));
    add(Bytes{0});
  }
  return EventLog::parse(out).value();
}

using Words = std::vector<std::string>;

TEST(EventChangesTest, OfTheSameBootThereAreNone) {
  for (const char* name : test::recorded_logs) {
    for (unsigned pcr = 0; pcr < 24; ++pcr) {
      EXPECT_EQ(changes(recorded(name), recorded(name), pcr), Words()) << name;
    }
  }
}

// Exactly where the PCRs of these boots differ.
TEST(EventChangesTest, OfTwoBootsTheyAreWhereThePcrsDiffer) {
  for (const char* name : test::recorded_logs) {
    const EventLog then = recorded("uki");
    const EventLog now = recorded(name);
    for (unsigned pcr = 0; pcr < 24; ++pcr) {
      EXPECT_EQ(event_changes(then, now, pcr).empty(),
                then.replay().at(pcr) == now.replay().at(pcr))
          << name << " " << pcr;
    }
  }
}

TEST(EventChangesTest, NamesTheImageThatChanged) {
  const Words found = changes(recorded("uki"), recorded("uki-changed"), 4);
  EXPECT_TRUE(std::any_of(found.begin(), found.end(), [](const std::string& line) {
    return line.find("PCR 4: boot services application") != std::string::npos;
  })) << testing::PrintToString(found);
}

TEST(EventChangesTest, TellsGoneNewAndChanged) {
  const EventLog then = made({"a1", "b1", "c1", "d1"});
  EXPECT_EQ(changes(then, made({"a1", "b2", "c1", "d1"}), 8),
            Words({"changed PCR 8: boot loader b"}));
  EXPECT_EQ(changes(then, made({"a1", "c1", "d1"}), 8), Words({"gone PCR 8: boot loader b"}));
  EXPECT_EQ(changes(then, made({"a1", "b1", "c1", "x1", "d1", "y1"}), 8),
            Words({"new PCR 8: boot loader x", "new PCR 8: boot loader y"}));
  EXPECT_EQ(changes(then, made({"a2", "b1", "x1", "d1"}), 8),
            Words({"changed PCR 8: boot loader a", "gone PCR 8: boot loader c",
                   "new PCR 8: boot loader x"}));
  EXPECT_EQ(changes(then, made({}), 8).size(), 4U);
  EXPECT_EQ(changes(made({}), then, 8).size(), 4U);
  // The same events in another order.
  EXPECT_EQ(changes(then, made({"b1", "a1", "c1", "d1"}), 8).size(), 2U);
  EXPECT_EQ(changes(then, made({"a1", "x1", "b2", "c1", "d1"}), 8),
            Words({"new PCR 8: boot loader x", "changed PCR 8: boot loader b"}));
}

TEST(EventChangesTest, LogsOfThousandsOfEventsAreNotMatchedClosely) {
  Words a;
  Words b;
  for (int i = 0; i < 5000; ++i) {
    a.push_back("a" + std::to_string(i));
    b.push_back("b" + std::to_string(i));
  }
  b[2500] = a[2500];
  const std::vector<EventChange> found = event_changes(made(a), made(b), 8);
  EXPECT_EQ(found.size(), 10000U);
  EXPECT_EQ(found.front().kind, EventChange::Kind::gone);
  EXPECT_EQ(found.back().kind, EventChange::Kind::added);
}

}  // namespace
}  // namespace ckptseal
