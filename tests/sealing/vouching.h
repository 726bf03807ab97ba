// SPDX-License-Identifier: Apache-2.0
//
// A signed file for alice and bob whose slots a test changes, in the name of the origin, of another
// host that the reader trusts, and of one that it does not.
#pragma once

#include <gtest/gtest.h>

#include "forge.h"

namespace ckptseal::test {

class VouchingTest : public testing::Test {
 protected:
  Bytes sealed() {
    test::Sample sample;
    sample.words = {"alice", "bob"};
    sample.origin = &origin;
    return seal(sample);
  }
  // The file with bob removed, as `changer` says.
  void remove_bob(const DoubleOrigin* changer, std::uint64_t generation = 2) {
    forge.change_slots({forge.header.slots[0]}, generation, changer);
  }
  Result<test::Contents> read(const ReadSettings& settings) {
    return read_bytes(forge.build(nullptr), settings);
  }
  Result<test::Contents> read() { return read(trusting({&origin, &helper})); }
  void expect_code(const Result<test::Contents>& contents, Code code, const std::string& what) {
    ASSERT_FALSE(contents.ok()) << what;
    EXPECT_EQ(contents.error().code, code) << what << ": " << contents.error().message;
  }
  static ReadSettings lenient(ReadSettings settings) {
    settings.allow_unsigned = true;
    return settings;
  }
  static ReadSettings as(const std::string& word, ReadSettings settings) {
    settings.words = {word};
    return settings;
  }

  DoubleOrigin origin{"host-a"};
  DoubleOrigin helper{"host-b"};
  DoubleOrigin stranger{"host-s"};
  const Bytes file = sealed();
  Forge forge{file, "alice"};
};

}  // namespace ckptseal::test
