// SPDX-License-Identifier: Apache-2.0
//
// That the test against Project Wycheproof finds what is wrong: it has no vectors here, so these
// are made up, and no function gives what they say.
#include <gtest/gtest.h>

#include <array>
#include <deque>

#include "der_signature.h"
#include "tally.h"
#include "vectors.h"

namespace ckptseal::test {
namespace {

using nlohmann::json;

constexpr std::array known = {Known{"a file", "f()", 7, "a reason"}};

Vector vector_of(int id, const std::string& result) {
  static const json group = json::object();
  static std::deque<json> tests;
  tests.push_back(
      {{"tcId", id}, {"comment", "made up"}, {"flags", json::array()}, {"result", result}});
  return {group, tests.back()};
}

// How many faults one vector with this outcome makes.
std::size_t faults(const std::string& result, Outcome outcome, bool accepts = false) {
  Tally tally("another file", "f()", known);
  tally.add(vector_of(1, "valid"), Outcome::right, false);
  tally.add(vector_of(2, result), outcome, accepts);
  return tally.faults().size();
}

TEST(WycheproofTally, AValidVectorHasToBeRight) {
  EXPECT_EQ(faults("valid", Outcome::right), 0U);
  EXPECT_EQ(faults("valid", Outcome::not_ours), 0U);
  EXPECT_EQ(faults("valid", Outcome::refused), 1U);
  EXPECT_EQ(faults("valid", Outcome::wrong), 1U);
}

TEST(WycheproofTally, AnInvalidVectorHasToBeRefused) {
  EXPECT_EQ(faults("invalid", Outcome::refused), 0U);
  EXPECT_EQ(faults("invalid", Outcome::right), 1U);
  EXPECT_EQ(faults("invalid", Outcome::wrong), 1U);
}

TEST(WycheproofTally, AnAcceptableVectorHasToBeAsThisProjectSays) {
  EXPECT_EQ(faults("acceptable", Outcome::right, true), 0U);
  EXPECT_EQ(faults("acceptable", Outcome::refused, false), 0U);
  EXPECT_EQ(faults("acceptable", Outcome::right, false), 1U);
  EXPECT_EQ(faults("acceptable", Outcome::refused, true), 1U);
  EXPECT_EQ(faults("acceptable", Outcome::wrong, true), 1U);
}

TEST(WycheproofTally, AFileOfWhichNothingWasRunIsAFault) {
  Tally tally("another file", "f()", known);
  EXPECT_EQ(tally.faults().size(), 1U);
  tally.add(vector_of(1, "valid"), Outcome::not_ours, false);
  EXPECT_EQ(tally.faults().size(), 1U);
}

TEST(WycheproofTally, AKnownDisagreementIsOneOfItsFileAndFunction) {
  for (const char* function : {"f()", "g()"}) {
    Tally tally("a file", function, known);
    tally.add(vector_of(7, "invalid"), Outcome::right, false);
    EXPECT_EQ(tally.faults().size(), function == std::string("f()") ? 0U : 1U);
  }
  Tally gone("a file", "f()", known);
  gone.add(vector_of(7, "invalid"), Outcome::refused, false);
  EXPECT_EQ(gone.faults().size(), 1U) << "it disagrees no more";
}

TEST(WycheproofVector, UnknownResultsAndMissingFieldsAreNotPassedOver) {
  EXPECT_ANY_THROW(vector_of(1, "fine"));
  EXPECT_ANY_THROW((void)vector_of(1, "valid").bytes("key"));
  EXPECT_ANY_THROW(VectorFile("/nonexistent", "aes_gcm"));
}

std::string from_der(const std::string& hex) {
  const std::optional<EcdsaSignature> out = signature_from_der(*from_hex(hex));
  return out ? to_hex(*out) : "";
}

TEST(WycheproofDerSignature, StrictDerIsTakenAndPadded) {
  const std::string zeros(62, '0');
  EXPECT_EQ(from_der("3006020101020102"), zeros + "01" + zeros + "02");
  EXPECT_EQ(from_der("3006020100020100"), zeros + "00" + zeros + "00");
  EXPECT_EQ(from_der("300702020080020101"), zeros + "80" + zeros + "01");
  const std::string ones(64, 'f');
  EXPECT_EQ(from_der("3026022100" + ones + "020101"), ones + zeros + "01");
}

TEST(WycheproofDerSignature, AnythingElseIsNot) {
  const std::string ones(64, 'f');
  for (const std::string& der : std::initializer_list<std::string>{
           "", "30", "3000", "3003020101",
           "3106020101020102",                // no sequence
           "3006030101020102",                // no integer
           "300602010102010200",              // a tail
           "3009020101020102020103",          // three numbers
           "300702020001020101",              // not the shortest
           "3006020181020102",                // negative
           "30050200020102",                  // empty
           "308106020101020102",              // a long length
           "30800201010201020000",            // no length
           "302702220100" + ones + "020101",  // more than 32 bytes
       }) {
    EXPECT_EQ(from_der(der), "") << der;
  }
}

}  // namespace
}  // namespace ckptseal::test
