// SPDX-License-Identifier: Apache-2.0
//
// Published test vectors: cases of `name = hex` lines with an empty line between them; lines that
// begin with # are comments.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace ckptseal::test {

class VectorCase {
 public:
  // Throws for a name that the case lacks: then the file is not what the test takes it for.
  Bytes bytes(const std::string& name) const;
  std::string text(const std::string& name) const;
  bool has(const std::string& name) const { return fields_.contains(name); }
  std::string describe() const;
  void set(std::string name, std::string value) { fields_[std::move(name)] = std::move(value); }
  bool empty() const { return fields_.empty(); }

 private:
  std::map<std::string, std::string> fields_;
};

// Throws when the file is not there, holds no case or a line that is none.
std::vector<VectorCase> read_vector_file(const std::string& path);

}  // namespace ckptseal::test
