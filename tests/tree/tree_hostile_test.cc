// SPDX-License-Identifier: Apache-2.0
//
// Archives that try to reach what lies outside of the folder they are unpacked into, or that are
// not whole. Each is carried out against a victim beside that folder; each has a harmless twin.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "tree_fixture.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

struct Item {
  std::string name;
  unsigned type = AE_IFREG;
  std::string content;  // of a file; target of a link
  bool hard_link = false;
};

class TreeHostileTest : public TreeFixture {
 protected:
  TreeHostileTest() {
    put(at("victim"), "safe");
    fs::create_directory(at("elsewhere"));
  }

  void make_tar(const std::vector<Item>& items) const {
    const std::unique_ptr<archive, int (*)(archive*)> tar(archive_write_new(), archive_write_free);
    ASSERT_EQ(archive_write_set_format_pax(tar.get()), ARCHIVE_OK);
    ASSERT_EQ(archive_write_open_filename(tar.get(), at("tar").c_str()), ARCHIVE_OK);
    for (const Item& item : items) {
      const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                           archive_entry_free);
      archive_entry_set_pathname(entry.get(), item.name.c_str());
      archive_entry_set_filetype(entry.get(), item.type);
      archive_entry_set_perm(entry.get(), item.type == AE_IFDIR ? 0755 : 0644);
      archive_entry_set_uid(entry.get(), geteuid());
      archive_entry_set_gid(entry.get(), getegid());
      archive_entry_set_rdev(entry.get(), 0x105);
      const bool is_file = item.type == AE_IFREG && !item.hard_link;
      if (is_file)
        archive_entry_set_size(entry.get(), static_cast<la_int64_t>(item.content.size()));
      if (item.hard_link) archive_entry_set_hardlink(entry.get(), item.content.c_str());
      if (item.type == AE_IFLNK) archive_entry_set_symlink(entry.get(), item.content.c_str());
      ASSERT_EQ(archive_write_header(tar.get(), entry.get()), ARCHIVE_OK)
          << archive_error_string(tar.get());
      if (!is_file) continue;
      ASSERT_EQ(archive_write_data(tar.get(), item.content.data(), item.content.size()),
                static_cast<la_ssize_t>(item.content.size()));
    }
    ASSERT_EQ(archive_write_close(tar.get()), ARCHIVE_OK);
  }

  void expect_untouched() const {
    EXPECT_EQ(get(at("victim")), "safe");
    EXPECT_EQ(info_of(at("victim")).st_nlink, 1U);
    EXPECT_TRUE(fs::is_empty(at("elsewhere")));
    EXPECT_EQ(names(), (std::vector<std::string>{"elsewhere", "tar", "victim"}));
  }

  // The message is one sentence about `clause`, and nothing appeared anywhere.
  void expect_refused(const std::vector<Item>& items, const std::string& clause) const {
    make_tar(items);
    expect_tar_refused(clause);
  }

  void expect_tar_refused(const std::string& clause) const {
    const auto unpacked = unpack("tar", "out");
    ASSERT_FALSE(unpacked.ok());
    EXPECT_EQ(unpacked.error().code, Code::integrity);
    EXPECT_NE(unpacked.error().message.find(clause), std::string::npos) << unpacked.error().message;
    expect_untouched();
  }

  void expect_accepted(const std::vector<Item>& items) const {
    make_tar(items);
    const auto unpacked = unpack("tar", "out");
    ASSERT_TRUE(unpacked.ok()) << unpacked.error().message;
    EXPECT_EQ(unpacked.value(), TreeWarnings());
    EXPECT_EQ(get(at("victim")), "safe");
  }
};

TEST_F(TreeHostileTest, AnAbsoluteNameIsRefused) {
  expect_refused({{at("elsewhere/file"), AE_IFREG, "x"}}, "has an absolute name");
  expect_refused({{at("elsewhere/folder/"), AE_IFDIR, ""}}, "has an absolute name");
  expect_accepted({{"elsewhere/file", AE_IFREG, "x"}});
}

TEST_F(TreeHostileTest, DotDotIsRefused) {
  for (const char* name :
       {"../../elsewhere/file", "a/../../../elsewhere/file", "./../../elsewhere/file", ".."}) {
    expect_refused({{name, AE_IFREG, "x"}}, "would leave the folder");
  }
  expect_refused({{"a", AE_IFDIR, ""}, {"a/..", AE_IFDIR, ""}}, "would leave the folder");
  expect_accepted({{"..a/b../...", AE_IFREG, "x"}});
}

TEST_F(TreeHostileTest, NamesHaveOneForm) {
  for (const char* name : {"a//b", "a/./b", "././b"}) {
    expect_refused({{name, AE_IFREG, "x"}}, "has a name of another form");
  }
  expect_accepted({{"./a/b", AE_IFREG, "x"}});
}

TEST_F(TreeHostileTest, ANameThroughASymbolicLinkIsRefused) {
  for (const std::string& to : {at("elsewhere"), std::string("../../elsewhere"),
                                std::string("../elsewhere"), std::string("inside")}) {
    expect_refused({{"inside", AE_IFDIR, ""}, {"link", AE_IFLNK, to}, {"link/file", AE_IFREG, "x"}},
                   "leads through a symbolic link");
    expect_refused(
        {{"inside", AE_IFDIR, ""}, {"link", AE_IFLNK, to}, {"link/below/folder", AE_IFDIR, ""}},
        "leads through a symbolic link");
  }
  expect_accepted({{"link", AE_IFLNK, at("elsewhere")}, {"inside/file", AE_IFREG, "x"}});
  EXPECT_TRUE(fs::is_empty(at("elsewhere")));
}

TEST_F(TreeHostileTest, AFileInThePlaceOfASymbolicLinkIsRefused) {
  expect_refused({{"link", AE_IFLNK, at("victim")}, {"link", AE_IFREG, "overwritten"}},
                 "occurs twice");
  expect_refused({{"link", AE_IFLNK, at("elsewhere")}, {"link", AE_IFDIR, ""}}, "occurs twice");
  expect_refused({{"file", AE_IFREG, "x"}, {"file", AE_IFREG, "y"}}, "occurs twice");
  expect_refused({{"file", AE_IFREG, "x"}, {"file/below", AE_IFREG, "y"}}, "leads through a file");
  expect_refused({{".", AE_IFLNK, at("elsewhere")}, {"file", AE_IFREG, "x"}},
                 "has a name of another form");
  expect_accepted({{"folder/file", AE_IFREG, "x"}, {"folder", AE_IFDIR, ""}});
}

TEST_F(TreeHostileTest, AHardLinkToTheOutsideIsRefused) {
  expect_refused({{"link", AE_IFREG, at("victim"), true}}, "has an absolute name");
  expect_refused({{"link", AE_IFREG, "../../victim", true}}, "would leave the folder");
  expect_refused({{"way", AE_IFLNK, ".."}, {"link", AE_IFREG, "way/victim", true}},
                 "leads through a symbolic link");
  expect_refused({{"way", AE_IFLNK, at("victim")}, {"link", AE_IFREG, "way", true}},
                 "is a hard link to what is no file of the archive");
  expect_refused({{"link", AE_IFREG, "missing", true}},
                 "is a hard link to what is no file of the archive");
  expect_accepted({{"file", AE_IFREG, "x"}, {"link", AE_IFREG, "file", true}});
  EXPECT_EQ(info_of(at("out/file")).st_nlink, 2U);
}

TEST_F(TreeHostileTest, ADeviceNodeIsRefused) {
  expect_refused({{"zero", AE_IFCHR, ""}}, "is a device node");
  expect_refused({{"disk", AE_IFBLK, ""}}, "is a device node");
  expect_accepted({{"fifo", AE_IFIFO, ""}});
}

TEST_F(TreeHostileTest, ANameCannotActOnATerminal) {
  expect_refused({{"/\x1b]0;title\x07", AE_IFREG, "x"}}, "\"/\\x1b]0;title\\x07\"");
}

TEST_F(TreeHostileTest, TooDeepIsRefused) {
  std::string name = "f";
  for (int i = 0; i < 256; ++i) name.insert(0, "d/");
  expect_refused({{"d/" + name, AE_IFREG, "x"}}, "lies too deep");
  expect_accepted({{name, AE_IFREG, "x"}});
}

// Zeros at the end of a file must not pass for the end of the archive.
std::vector<Item> three_files() {
  return {{"a", AE_IFREG, "aaa"},
          {"b", AE_IFREG, std::string(5000, '\0')},
          {"c", AE_IFREG, std::string(600'000, 'c')}};
}

TEST_F(TreeHostileTest, ACutArchiveIsRefusedWhereverItIsCut) {
  make_tar(three_files());
  const std::string whole = get(at("tar"));
  // libarchive pads behind the end marker.
  const std::size_t end = whole.find_last_not_of('\0') / 512 * 512 + 512 + 1024;
  std::vector<std::size_t> cuts = {0, 1, end - 1, end - 511, 100'000};
  for (std::size_t at = 512; at < end; at += at < 20'000 ? 512 : 65'536) cuts.push_back(at);
  cuts.push_back(end - 512);
  cuts.push_back(end - 1024);
  for (const std::size_t cut : cuts) {
    put(at("tar"), whole.substr(0, cut));
    expect_tar_refused("ut");  // "cut"
    if (HasFailure()) FAIL() << "cut at " << cut;
  }
  put(at("tar"), whole.substr(0, end));
  EXPECT_TRUE(unpack("tar", "out").ok());
}

TEST_F(TreeHostileTest, SomethingBehindTheEndIsRefused) {
  make_tar(three_files());
  const std::string whole = get(at("tar"));
  put(at("tar"), whole + "x");
  expect_tar_refused("something follows its end marker");
  put(at("tar"), whole + std::string(1'000'000, '\0') + "x");
  expect_tar_refused("something follows its end marker");
  put(at("tar"), whole + whole);
  expect_tar_refused("something follows its end marker");
  put(at("tar"), whole + std::string(1'000'000, '\0'));
  EXPECT_TRUE(unpack("tar", "out").ok());
}

TEST_F(TreeHostileTest, ADamagedHeaderIsRefused) {
  make_tar(three_files());
  std::string tar = get(at("tar"));
  const std::size_t second = tar.find("ustar", 600);
  ASSERT_NE(second, std::string::npos);
  tar[second - 200] = static_cast<char>(tar[second - 200] ^ 1);
  put(at("tar"), tar);
  expect_tar_refused("cut or damaged");
}

TEST_F(TreeHostileTest, WhatIsNoTarIsRefused) {
  put(at("tar"), std::string(100'000, 'x'));
  expect_tar_refused("cut or damaged");
  put(at("tar"), "PK\x03\x04" + std::string(1000, '\0'));
  expect_tar_refused("cut or damaged");
}

}  // namespace
}  // namespace ckptseal
