// SPDX-License-Identifier: Apache-2.0
//
// Reading vectors with nothing left out silently: the number of them is that which the file states.
#include "vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <stdexcept>

namespace ckptseal::test {
namespace {

using nlohmann::json;

Verdict verdict_of(const json& test) {
  const auto word = test.at("result").get<std::string>();
  if (word == "valid") return Verdict::valid;
  if (word == "acceptable") return Verdict::acceptable;
  if (word == "invalid") return Verdict::invalid;
  throw std::runtime_error(fmt::format("\"{}\" is no result of a vector", word));
}

}  // namespace

Bytes bytes_in(const json& hex) {
  const std::optional<Bytes> bytes = from_hex(hex.get<std::string>());
  if (!bytes) throw std::runtime_error("a field of a vector is no hex");
  return *bytes;
}

Vector::Vector(const json& group, const json& test)
    : group_(&group), test_(&test), id_(test.at("tcId").get<int>()), verdict_(verdict_of(test)) {}

bool Vector::has_flag(const std::string& flag) const {
  const json& flags = test_->at("flags");
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

Bytes Vector::bytes(const std::string& name) const { return bytes_in(test_->at(name)); }

std::string Vector::text(const std::string& name) const {
  return test_->at(name).get<std::string>();
}

std::size_t Vector::number(const std::string& name) const {
  return test_->at(name).get<std::size_t>();
}

std::string Vector::describe() const {
  return fmt::format("tcId {}, \"{}\", {}", id_, text("comment"), test_->at("flags").dump());
}

VectorFile::VectorFile(const std::string& folder, const std::string& name) : name_(name) {
  const std::string path = fmt::format("{}/{}_test.json", folder, name);
  std::ifstream in(path);
  if (!in) throw std::runtime_error(fmt::format("{} cannot be read", path));
  content_ = json::parse(in);
}

std::vector<Vector> VectorFile::vectors() const {
  std::vector<Vector> out;
  for (const json& group : content_.at("testGroups")) {
    for (const json& test : group.at("tests")) out.emplace_back(group, test);
  }
  if (out.size() != content_.at("numberOfTests").get<std::size_t>()) {
    throw std::runtime_error(fmt::format("{} has another number of vectors than it says", name_));
  }
  return out;
}

}  // namespace ckptseal::test
