// SPDX-License-Identifier: Apache-2.0
//
// How the command talks: results on stdout, as text or as one JSON object; messages and progress on
// stderr.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace ckptseal {

using Json = nlohmann::ordered_json;

// What a verb gives back when it succeeds.
struct Outcome {
  Json json = Json::object();  // docs/json.md, without the common fields
  std::string text;            // whole lines
  int exit_code = 0;           // doctor: 1 when it found a problem
  bool stands = false;         // whether it counts as done even if nobody can be told
};

class Console {
 public:
  explicit Console(std::string verb) : verb_(std::move(verb)) {}

  void warn(const std::string& sentence);  // each sentence once
  void note(const std::string& sentence);
  // Drawn on a terminal only.
  void progress(std::uint64_t done, std::uint64_t total);
  void end_progress();
  // After finish() the process ends by this signal, as whoever sent it expects.
  void end_by(int signal) { ended_by_ = signal; }
  int ended_by() const { return ended_by_; }  // 0: by none
  // Prints the outcome; the exit code of the process.
  int finish(const Result<Outcome>& result, bool json);

 private:
  std::string verb_;
  bool progress_shown_ = false;
  Json warnings_ = Json::array();
  int ended_by_ = 0;
};

// "1.5 GiB"
std::string human_size(std::uint64_t bytes);
// Of what the messages of the helper hold as bytes.
std::string hex_of(const std::string& bytes);

}  // namespace ckptseal
