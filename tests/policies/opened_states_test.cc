// SPDX-License-Identifier: Apache-2.0
//
// docs/state.md, "tpm/opened/": what is remembered is found again, bounded, and damage is empty.
#include "policies/opened_states.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "base/crypto.h"

namespace ckptseal {
namespace {

OpenedStates::Id id_of(unsigned number) {
  OpenedStates::Id out{};
  out[0] = static_cast<std::uint8_t>(number >> 8);
  out[1] = static_cast<std::uint8_t>(number);
  return out;
}

Digest digest_of(std::uint8_t byte) {
  Digest out{};
  out.fill(byte);
  return out;
}

OpenedState opening(std::uint64_t time, const std::map<unsigned, std::uint8_t>& pcrs,
                    std::uint8_t log = 0) {
  OpenedState out;
  out.time = time;
  for (const auto& [pcr, byte] : pcrs) out.pcrs.pcrs[pcr] = digest_of(byte);
  if (log != 0) out.log = digest_of(log);
  return out;
}

// As the file has them.
OpenedStates read_back(const OpenedStates& states) {
  const Bytes content = states.serialize();
  OpenedStates out(content);
  EXPECT_EQ(out.serialize(), content);
  EXPECT_LE(content.size(), OpenedStates::largest_file);
  return out;
}

void expect_found(const OpenedStates& states, unsigned number, const OpenedState& wanted) {
  const std::optional<OpenedState> found = states.find(id_of(number));
  ASSERT_TRUE(found.has_value()) << number;
  EXPECT_EQ(found->time, wanted.time);
  EXPECT_EQ(found->pcrs.pcrs, wanted.pcrs.pcrs);
  EXPECT_EQ(found->log, wanted.log);
}

TEST(OpenedStatesTest, FindsTheLastOpening) {
  OpenedStates states{ByteView()};
  EXPECT_FALSE(states.find(id_of(1)).has_value());
  states.remember(id_of(1), opening(5, {{4, 1}, {7, 2}}, 9));
  states.remember(id_of(2), opening(6, {{4, 3}}));
  states.remember(id_of(3), opening(7, {}));  // asked for none
  const OpenedStates read = read_back(states);
  expect_found(read, 1, opening(5, {{4, 1}, {7, 2}}, 9));
  expect_found(read, 2, opening(6, {{4, 3}}));
  EXPECT_FALSE(read.find(id_of(3)).has_value());
  states.remember(id_of(1), opening(8, {{4, 3}}));
  expect_found(read_back(states), 1, opening(8, {{4, 3}}));
  EXPECT_TRUE(read_back(states).logs().empty());
}

TEST(OpenedStatesTest, OpeningsOfOneStateShareIt) {
  OpenedStates states{ByteView()};
  states.remember(id_of(1), opening(1, {{4, 1}}, 9));
  const std::size_t one = states.serialize().size();
  states.remember(id_of(2), opening(2, {{7, 2}}, 9));
  EXPECT_EQ(states.serialize().size(), one + 29 + 32);  // an entry, and a value
  // Each has what its own opening asked for.
  expect_found(read_back(states), 1, opening(1, {{4, 1}}, 9));
  expect_found(read_back(states), 2, opening(2, {{7, 2}}, 9));
  // Another value, and another log, are other states.
  states.remember(id_of(3), opening(3, {{4, 5}}, 9));
  states.remember(id_of(4), opening(4, {{4, 1}}, 8));
  expect_found(read_back(states), 1, opening(1, {{4, 1}}, 9));
  expect_found(read_back(states), 3, opening(3, {{4, 5}}, 9));
  expect_found(read_back(states), 4, opening(4, {{4, 1}}, 8));
}

TEST(OpenedStatesTest, ItIsBounded) {
  OpenedStates states{ByteView()};
  for (unsigned i = 0; i < 3000; ++i) {
    std::map<unsigned, std::uint8_t> pcrs;
    for (unsigned pcr = 0; pcr < 24; ++pcr) {
      if (pcr != 10) pcrs[pcr] = static_cast<std::uint8_t>(i / 100 + 1);
    }
    states.remember(id_of(i), opening(i + 1, pcrs, static_cast<std::uint8_t>(i / 100 + 1)));
  }
  const OpenedStates read = read_back(states);
  EXPECT_FALSE(read.find(id_of(3000 - 1025)).has_value());
  EXPECT_TRUE(read.find(id_of(3000 - 1024)).has_value());
  EXPECT_EQ(read.logs().size(), 11U);
  // The seventeenth takes the place of the one that was of use the longest ago.
  OpenedStates few{ByteView()};
  for (unsigned i = 0; i < 16; ++i) {
    few.remember(id_of(i), opening(1, {{4, static_cast<std::uint8_t>(i)}}));
  }
  few.remember(id_of(100), opening(2, {{4, 0}}));
  few.remember(id_of(101), opening(3, {{4, 77}}));
  EXPECT_TRUE(read_back(few).find(id_of(0)).has_value());
  EXPECT_FALSE(read_back(few).find(id_of(1)).has_value());
  EXPECT_TRUE(read_back(few).find(id_of(2)).has_value());
  expect_found(read_back(few), 101, opening(3, {{4, 77}}));
}

Bytes with_checksum(Bytes body) {
  const Digest checksum = Sha256::of(body);
  body.insert(body.end(), checksum.begin(), checksum.end());
  return body;
}

TEST(OpenedStatesTest, DamageIsEmpty) {
  OpenedStates states{ByteView()};
  states.remember(id_of(1), opening(5, {{4, 1}, {7, 2}}, 9));
  states.remember(id_of(2), opening(6, {{4, 3}}));
  const Bytes whole = states.serialize();
  const Bytes empty = OpenedStates{ByteView()}.serialize();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes altered = whole;
    altered[i] ^= 1;
    EXPECT_EQ(OpenedStates(altered).serialize(), empty) << i;
    EXPECT_EQ(OpenedStates(ByteView(whole).first(i)).serialize(), empty) << i;
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_EQ(OpenedStates(longer).serialize(), empty);
}

// With the right checksum, so that the rule alone refuses it.
TEST(OpenedStatesTest, EachRuleCounts) {
  const auto build = [](const std::function<void(ByteWriter&)>& states,
                        const std::function<void(ByteWriter&)>& entries) {
    ByteWriter out;
    out.bytes(as_bytes("CKSOPEN1"));
    states(out);
    entries(out);
    return with_checksum(out.take());
  };
  const auto state = [](std::uint32_t mask, std::size_t values) {
    return [=](ByteWriter& out) { out.u8(1).zeros(32).u32(mask).zeros(32 * values); };
  };
  const auto entry = [](std::uint8_t index, std::uint32_t mask, std::uint16_t count = 1) {
    return [=](ByteWriter& out) {
      out.u16(count);
      for (unsigned i = 0; i < count; ++i) out.bytes(id_of(1)).u64(1).u8(index).u32(mask);
    };
  };
  const auto accepted = [](const Bytes& content) {
    return OpenedStates(content).find(id_of(1)).has_value();
  };
  EXPECT_TRUE(accepted(build(state(0x11, 2), entry(0, 0x10))));
  EXPECT_FALSE(accepted(build(state(0x11, 2), entry(1, 0x10))));       // no such state
  EXPECT_FALSE(accepted(build(state(0x11, 2), entry(0, 0))));          // asked for nothing
  EXPECT_FALSE(accepted(build(state(0x11, 2), entry(0, 0x12))));       // not the state's
  EXPECT_FALSE(accepted(build(state(0x11, 2), entry(0, 0x10, 2))));    // twice
  EXPECT_FALSE(accepted(build(state(0x411, 3), entry(0, 0x10))));      // PCR 10
  EXPECT_FALSE(accepted(build(state(0x1000011, 3), entry(0, 0x10))));  // PCR 24
  const auto two_states = [](ByteWriter& out) {
    out.u8(2);
    for (int i = 0; i < 2; ++i) out.zeros(32).u32(0x10).zeros(32);
  };
  EXPECT_FALSE(accepted(build(two_states, entry(0, 0x10))));  // one without an entry
  const auto too_many = [](ByteWriter& out) {
    out.u8(17);
    for (int i = 0; i < 17; ++i) out.zeros(32).u32(0x10).zeros(32);
  };
  EXPECT_FALSE(accepted(build(too_many, entry(0, 0x10))));
}

}  // namespace
}  // namespace ckptseal
