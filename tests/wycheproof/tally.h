// SPDX-License-Identifier: Apache-2.0
//
// Counts what a function makes of the vectors of one file, and what of that is not right. It knows
// nothing of GoogleTest, so that a test can see that it finds faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vectors.h"

namespace ckptseal::test {

enum class Outcome : std::uint8_t {
  not_ours,  // of other sizes or algorithms, which the function does not have or refuses as such
  refused,
  right,  // accepted, with the output of the vector
  wrong,  // accepted with another output, or refused in a wrong way: never right
};

// A disagreement with a vector that is none of ours to mend.
struct Known {
  std::string_view file;
  std::string_view function;
  int id;
  std::string_view reason;
};

class Tally {
 public:
  // `function` says what is called.
  Tally(std::string file, std::string function, std::span<const Known> known);

  // `accepts`: what this project does with an "acceptable" one.
  void add(const Vector& vector, Outcome outcome, bool accepts);
  // One sentence for each fault.
  std::vector<std::string> faults() const;
  // "aes_gcm, make(): 9 run (5 of 5 valid accepted, ...), 2 not ours"
  std::string summary() const;

 private:
  struct Count {
    std::size_t run = 0;
    std::size_t accepted = 0;
  };
  bool excuse(int id);

  std::string file_;
  std::string function_;
  std::vector<Known> known_;  // and not seen yet
  Count valid_;
  Count acceptable_;
  Count invalid_;
  std::size_t not_ours_ = 0;
  std::size_t excused_ = 0;
  std::vector<std::string> faults_;
};

}  // namespace ckptseal::test
