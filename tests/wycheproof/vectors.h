// SPDX-License-Identifier: Apache-2.0
//
// The JSON files of Project Wycheproof: groups of tests, each with an input and what is right for
// it. They are read from where the caller has them; the repository has none.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace ckptseal::test {

// What a vector says of its input. "acceptable" leaves it to the implementation.
enum class Verdict : std::uint8_t { valid, acceptable, invalid };

// What is not there, or is not of the expected form, throws: then the file is not what its subject
// takes it for.
class Vector {
 public:
  Vector(const nlohmann::json& group, const nlohmann::json& test);

  int id() const { return id_; }
  Verdict verdict() const { return verdict_; }
  bool has_flag(const std::string& flag) const;
  Bytes bytes(const std::string& name) const;  // from hex
  std::string text(const std::string& name) const;
  std::size_t number(const std::string& name) const;
  const nlohmann::json& group() const { return *group_; }
  std::string describe() const;

 private:
  const nlohmann::json* group_;
  const nlohmann::json* test_;
  int id_;
  Verdict verdict_;
};

class VectorFile {
 public:
  // `name` without "_test.json".
  VectorFile(const std::string& folder, const std::string& name);

  const std::string& name() const { return name_; }
  // Valid as long as this file.
  std::vector<Vector> vectors() const;

 private:
  std::string name_;
  nlohmann::json content_;
};

Bytes bytes_in(const nlohmann::json& hex);

}  // namespace ckptseal::test
