// SPDX-License-Identifier: Apache-2.0
//
// A folder of its own for each test, and the two ways through a tar file.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <string>
#include <vector>

#include "sealing/tree.h"

namespace ckptseal {

class TreeFixture : public testing::Test {
 protected:
  TreeFixture();
  ~TreeFixture() override;
  TreeFixture(const TreeFixture&) = delete;
  TreeFixture& operator=(const TreeFixture&) = delete;

  std::string at(const std::string& name) const { return folder + "/" + name; }
  Result<TreeWarnings> pack(const std::string& from, const std::string& tar) const;
  Result<TreeWarnings> unpack(const std::string& tar, const std::string& to,
                              OutputFile::Replace replace = OutputFile::Replace::never) const;
  // The names in the test's folder: nothing unfinished may be among them.
  std::vector<std::string> names() const;

  std::string folder;
};

void put(const std::string& path, const std::string& content);
std::string get(const std::string& path);
struct stat info_of(const std::string& path);

// Runs `body` as a user who is not root, and expects true.
void expect_as_other_user(const std::string& folder, const std::function<bool()>& body);

}  // namespace ckptseal
