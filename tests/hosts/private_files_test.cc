// SPDX-License-Identifier: Apache-2.0
//
// base/private_files.h and base/pem.h: what only its owner may have written, and the one form of
// PEM.
#include "base/private_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/pem.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

class PrivateFilesTest : public testing::Test {
 protected:
  PrivateFilesTest() {
    std::string name = "/tmp/cks-private-XXXXXX";
    folder = mkdtemp(name.data());
  }
  ~PrivateFilesTest() override { fs::remove_all(folder); }
  PrivateFilesTest(const PrivateFilesTest&) = delete;
  PrivateFilesTest& operator=(const PrivateFilesTest&) = delete;

  std::string folder;
};

TEST_F(PrivateFilesTest, AFolderIsMadeForItsOwnerAlone) {
  const std::string path = folder + "/state";
  ASSERT_TRUE(make_private_folder(path, Guard::no_access, "the folder").ok());
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  EXPECT_TRUE(make_private_folder(path, Guard::no_access, "the folder").ok());
}

TEST_F(PrivateFilesTest, AGuardIsKept) {
  ASSERT_EQ(chmod(folder.c_str(), 0755), 0);
  EXPECT_TRUE(open_private_folder(folder, Guard::no_writing, "the folder").ok());
  EXPECT_FALSE(open_private_folder(folder, Guard::no_access, "the folder").ok());
  ASSERT_EQ(chmod(folder.c_str(), 0770), 0);
  EXPECT_FALSE(open_private_folder(folder, Guard::no_writing, "the folder").ok());
  ASSERT_EQ(chmod(folder.c_str(), 0700), 0);
  EXPECT_TRUE(open_private_folder(folder, Guard::no_access, "the folder").ok());
}

TEST_F(PrivateFilesTest, WhatIsMissingIsSaidSo) {
  EXPECT_EQ(open_private_folder(folder + "/none", Guard::no_access, "it").error().cause,
            static_cast<std::uint32_t>(ENOENT));
  EXPECT_EQ(read_private_file(folder + "/none", 10, "it").error().cause,
            static_cast<std::uint32_t>(ENOENT));
}

TEST_F(PrivateFilesTest, AFileIsReadUpToItsLimit) {
  const std::string path = folder + "/file";
  std::ofstream(path) << "0123456789";
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(as_text(read_private_file(path, 10, "it").value()), "0123456789");
  EXPECT_FALSE(read_private_file(path, 9, "it").ok());
}

TEST_F(PrivateFilesTest, OnlyARegularFileIsAFile) {
  EXPECT_FALSE(read_private_file(folder, 10, "it").ok());
  ASSERT_EQ(mkfifo((folder + "/pipe").c_str(), 0600), 0);
  EXPECT_FALSE(read_private_file(folder + "/pipe", 10, "it").ok());  // and does not hang
  std::ofstream(folder + "/file") << "x";
  EXPECT_FALSE(open_private_folder(folder + "/file", Guard::no_writing, "it").ok());
}

TEST_F(PrivateFilesTest, RemovingTwiceIsNoError) {
  std::ofstream(folder + "/file") << "x";
  EXPECT_TRUE(remove_file(folder + "/file", "it").ok());
  EXPECT_TRUE(remove_file(folder + "/file", "it").ok());
  EXPECT_TRUE(remove_folder(folder + "/none", "it").ok());
  std::ofstream(folder + "/file") << "x";
  EXPECT_FALSE(remove_folder(folder, "it").ok());
}

TEST(Pem, IsReadAsItIsWritten) {
  for (std::size_t size : {1U, 47U, 48U, 49U, 1000U}) {
    const Bytes content(size, 0x5a);
    const std::string text = pem_encode("A TEST", content).value();
    EXPECT_TRUE(text.starts_with("-----BEGIN A TEST-----\n"));
    EXPECT_TRUE(text.ends_with("\n-----END A TEST-----\n"));
    EXPECT_EQ(pem_decode("A TEST", as_bytes(text), "It").value(), content);
    EXPECT_EQ(pem_decode("B TEST", as_bytes(text), "It").error().code, Code::integrity);
    EXPECT_FALSE(pem_decode("A TEST", as_bytes(text + "\n"), "It").ok());
    EXPECT_FALSE(pem_decode("A TEST", as_bytes(" " + text), "It").ok());
    EXPECT_FALSE(pem_decode("A TEST", as_bytes(text.substr(0, text.size() - 1)), "It").ok());
  }
  EXPECT_FALSE(pem_decode("A TEST", {}, "It").ok());
}

}  // namespace
}  // namespace ckptseal
