// SPDX-License-Identifier: Apache-2.0
//
// keymgr/refusals.h: the order of docs/format.md, "Which slot opens".
#include "keymgr/refusals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace ckptseal {
namespace {

TEST(RefusalsTest, TheHeaviestIsKeptInAnyOrder) {
  std::array order = {7, 8, 3, 6, 1, 5, 4, 9};
  const auto answer_to = [](const auto& codes) {
    Refusals all;
    for (const int code : codes) all.add({static_cast<Code>(code), "", 0});
    return static_cast<int>(all.heaviest()->code);
  };
  for (std::size_t from = 0; from < order.size(); ++from) {
    std::vector<int> rest(order.begin() + static_cast<std::ptrdiff_t>(from), order.end());
    EXPECT_EQ(answer_to(rest), order[from]);
    std::reverse(rest.begin(), rest.end());
    EXPECT_EQ(answer_to(rest), order[from]);
    std::sort(rest.begin(), rest.end());
    EXPECT_EQ(answer_to(rest), order[from]);
  }
}

TEST(RefusalsTest, OfEqualOnesTheFirstIsKept) {
  Refusals all;
  EXPECT_TRUE(all.empty());
  EXPECT_FALSE(all.heaviest());
  all.add({Code::failed, "first", 1});
  all.add({Code::failed, "second", 2});
  all.add({Code::no_slot, "third", 3});
  EXPECT_FALSE(all.empty());
  EXPECT_EQ(all.heaviest()->message, "first");
  EXPECT_EQ(all.heaviest()->cause, 1U);
}

TEST(RefusalsTest, WhatWasTriedIsNotSkipped) {
  EXPECT_FALSE(is_skipped(Code::policy));
  EXPECT_FALSE(is_skipped(Code::revoked));
  for (const Code code : {Code::failed, Code::untrusted, Code::integrity, Code::locked,
                          Code::unavailable, Code::no_slot}) {
    EXPECT_TRUE(is_skipped(code));
  }
}

}  // namespace
}  // namespace ckptseal
