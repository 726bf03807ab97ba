// SPDX-License-Identifier: Apache-2.0
//
// Running a function over the vectors, and those with which we are known to disagree.
#include "wycheproof.h"

#include <fmt/format.h>
#include <nettle/version.h>

#include <cstdlib>
#include <exception>
#include <vector>

namespace ckptseal::test {
namespace {

// Verifying adds two points. Where they are equal, nettle before 3.9 (its NEWS has it) gets no sum,
// and a valid signature is refused. Nothing invalid is accepted, and it takes a signer who computes
// his key from such a signature; any other meets equal points once in 2^256.
constexpr std::string_view equal_points = "nettle before 3.9 does not add equal points";
constexpr bool old_nettle =
    NETTLE_VERSION_MAJOR < 3 || (NETTLE_VERSION_MAJOR == 3 && NETTLE_VERSION_MINOR < 9);

// The numbers are those of August 2026.
std::vector<Known> known_disagreements() {
  if (!old_nettle) return {};
  return {{"ecdsa_secp256r1_sha256", "verify_p256()", 427, equal_points},
          {"ecdsa_secp256r1_sha256_p1363", "verify_p256()", 204, equal_points}};
}

}  // namespace

void Wycheproof::SetUp() {
  const char* const folder = std::getenv("CKPT_SEAL_WYCHEPROOF");
  if (folder == nullptr || *folder == '\0') {
    GTEST_SKIP() << "CKPT_SEAL_WYCHEPROOF names no folder with the vectors of Project Wycheproof";
  }
  folder_ = folder;
}

void Wycheproof::run(const std::string& file, const std::string& name, const Function& function,
                     const Stance& accepts) const {
  const VectorFile vectors(folder_, file);
  Tally tally(file, name, known_disagreements());
  for (const Vector& vector : vectors.vectors()) {
    SCOPED_TRACE(fmt::format("{}, {}: {}", file, name, vector.describe()));
    try {
      tally.add(vector, function(vector), accepts && accepts(vector));
    } catch (const std::exception& error) {  // here it can still say which vector it was
      ADD_FAILURE() << error.what();
    }
  }
  for (const std::string& fault : tally.faults()) ADD_FAILURE() << fault;
  fmt::print("{}\n", tally.summary());
}

}  // namespace ckptseal::test
