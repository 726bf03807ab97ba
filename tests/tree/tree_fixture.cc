// SPDX-License-Identifier: Apache-2.0
//
// Files and folders for the tests of sealing/tree.h.
#include "tree_fixture.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "base/process.h"
#include "sealing/tree_common.h"

namespace ckptseal {

TreeFixture::TreeFixture() {
  std::string name = "/tmp/cks-tree-XXXXXX";
  folder = mkdtemp(name.data());
}

TreeFixture::~TreeFixture() {
  const UniqueFd parent(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(remove_below(parent.get(), folder.substr(5)).ok());
}

Result<TreeWarnings> TreeFixture::pack(const std::string& from, const std::string& tar) const {
  CKPTSEAL_ASSIGN(const UniqueFd in, open_file(at(from), O_RDONLY | O_DIRECTORY, from));
  CKPTSEAL_ASSIGN(const UniqueFd out, open_file(at(tar), O_WRONLY | O_CREAT | O_TRUNC, tar));
  return write_tree(in.get(), out.get());
}

Result<TreeWarnings> TreeFixture::unpack(const std::string& tar, const std::string& to,
                                         OutputFile::Replace replace) const {
  CKPTSEAL_ASSIGN(const UniqueFd in, open_file(at(tar), O_RDONLY, tar));
  return extract_tree(in.get(), at(to), replace);
}

std::vector<std::string> TreeFixture::names() const {
  const UniqueFd own(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto found = list_names(own.get(), folder);
  EXPECT_TRUE(found.ok());
  return std::move(found).value();
}

void put(const std::string& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary);
  out << content;
  ASSERT_TRUE(out.good()) << path;
}

std::string get(const std::string& path) {
  const auto content = read_file(path, std::size_t{64} << 20, path);
  EXPECT_TRUE(content.ok()) << path;
  return content.ok() ? std::string(as_text(content.value())) : std::string();
}

struct stat info_of(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return info;
}

void expect_as_other_user(const std::string& folder, const std::function<bool()>& body) {
  if (geteuid() != 0) {
    EXPECT_TRUE(body());
    return;
  }
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(chown(folder.c_str(), kNobody, kNobody), 0);
  auto child = Child::fork([&] {
    if (setresgid(kNobody, kNobody, kNobody) != 0 || setresuid(kNobody, kNobody, kNobody) != 0) {
      return 2;
    }
    return body() ? 0 : 1;
  });
  ASSERT_TRUE(child.ok());
  const auto ended = child.value().wait();
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(ended.value().code, 0);
}

}  // namespace ckptseal
