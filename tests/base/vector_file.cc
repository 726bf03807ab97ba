// SPDX-License-Identifier: Apache-2.0
//
// Reads files of published test vectors; whatever is odd about one ends the test.
#include "vector_file.h"

#include <fmt/format.h>

#include <fstream>
#include <stdexcept>
#include <utility>

namespace ckptseal::test {
namespace {

std::string trim(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

std::string VectorCase::text(const std::string& name) const {
  const auto found = fields_.find(name);
  if (found == fields_.end()) throw std::runtime_error("no field " + name + " in " + describe());
  return found->second;
}

Bytes VectorCase::bytes(const std::string& name) const {
  const std::optional<Bytes> out = from_hex(text(name));
  if (!out) throw std::runtime_error("field " + name + " is not hexadecimal in " + describe());
  return *out;
}

std::string VectorCase::describe() const {
  std::string out;
  for (const auto& [name, value] : fields_)
    out.append(name).append(" = ").append(value).append("\n");
  return out;
}

std::vector<VectorCase> read_vector_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<VectorCase> cases;
  VectorCase current;
  const auto end_case = [&] {
    if (!current.empty()) cases.push_back(std::exchange(current, {}));
  };
  for (std::string line; std::getline(in, line);) {
    line = trim(line);
    if (line.empty()) end_case();
    if (line.empty() || line[0] == '#') continue;
    const auto at = line.find('=');
    if (at == std::string::npos)
      throw std::runtime_error(fmt::format("{} has the line {}", path, line));
    current.set(trim(line.substr(0, at)), trim(line.substr(at + 1)));
  }
  end_case();
  if (cases.empty()) throw std::runtime_error(path + " holds no case");
  return cases;
}

}  // namespace ckptseal::test
