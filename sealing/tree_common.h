// SPDX-License-Identifier: Apache-2.0
//
// What packing and unpacking a folder share: the bounds on names, names in messages, and folders
// reached by descriptor.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace ckptseal {

// Deeper folders would need a descriptor for each level, and longer names do not fit a system call.
constexpr std::size_t kMaxTreeDepth = 256;
constexpr std::size_t kMaxTreePath = 4095;

// A name between quotation marks; bytes that would act on a terminal become \xNN.
std::string quote_name(std::string_view name);

// Keeps the first hundred and counts the others.
class WarningList {
 public:
  void add(std::string sentence);
  std::vector<std::string> take();

 private:
  std::vector<std::string> sentences_;
  std::size_t others_ = 0;
};

// A path to what a descriptor is open on, for calls that take paths only. Works for O_PATH.
std::string descriptor_path(int fd);

// The names in a folder, without "." and "..", in the order of their bytes.
Result<std::vector<std::string>> list_names(int folder_fd, const std::string& what);

// Removes `name` in `parent_fd` and all that is below it, closed folders too; follows no symbolic
// link.
Status remove_below(int parent_fd, const std::string& name);

}  // namespace ckptseal
