// SPDX-License-Identifier: Apache-2.0
//
// sealing/tree.h: what goes in comes out, in bounded memory, whole or not at all.
#include "sealing/tree.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/process.h"
#include "sealing/tree_common.h"
#include "tree_fixture.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

std::string message(const Result<TreeWarnings>& result) {
  return result.ok() ? "" : result.error().message;
}

void set_time(const std::string& path, time_t seconds, long nanoseconds) {
  const timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
}

class TreeTest : public TreeFixture {
 protected:
  TreeTest() { fs::create_directory(at("in")); }

  void there_and_back() {
    const auto packed = pack("in", "tar");
    ASSERT_TRUE(packed.ok()) << message(packed);
    EXPECT_EQ(packed.value(), TreeWarnings());
    const auto unpacked = unpack("tar", "out");
    ASSERT_TRUE(unpacked.ok()) << message(unpacked);
    EXPECT_EQ(unpacked.value(), TreeWarnings());
  }
};

TEST_F(TreeTest, FilesFoldersAndLinksComeBack) {
  put(at("in/file"), "content");
  put(at("in/empty"), "");
  fs::create_directories(at("in/a/b"));
  put(at("in/a/b/deep"), std::string(700'000, 'x') + "end");
  fs::create_symlink("../file", at("in/a/link"));
  fs::create_symlink("/etc/passwd", at("in/absolute"));
  fs::create_symlink("nowhere", at("in/dangling"));
  ASSERT_EQ(mkfifo(at("in/fifo").c_str(), 0620), 0);
  there_and_back();
  EXPECT_EQ(get(at("out/file")), "content");
  EXPECT_EQ(get(at("out/empty")), "");
  EXPECT_EQ(get(at("out/a/b/deep")), get(at("in/a/b/deep")));
  EXPECT_EQ(fs::read_symlink(at("out/a/link")), "../file");
  EXPECT_EQ(fs::read_symlink(at("out/absolute")), "/etc/passwd");
  EXPECT_EQ(fs::read_symlink(at("out/dangling")), "nowhere");
  EXPECT_TRUE(S_ISFIFO(info_of(at("out/fifo")).st_mode));
  EXPECT_EQ(names(), (std::vector<std::string>{"in", "out", "tar"}));
}

TEST_F(TreeTest, PermissionsAndTimesComeBack) {
  fs::create_directory(at("in/closed"));
  put(at("in/closed/file"), "x");
  fs::create_symlink("file", at("in/closed/link"));
  ASSERT_EQ(chmod(at("in/closed/file").c_str(), 0406), 0);
  ASSERT_EQ(chmod(at("in/closed").c_str(), 01557), 0);
  ASSERT_EQ(chmod(at("in").c_str(), 0751), 0);
  for (const char* name : {"in/closed/file", "in/closed/link", "in/closed", "in"}) {
    set_time(at(name), 1'234'567'890, 123'456'789);
  }
  const mode_t mask = umask(0077);
  there_and_back();
  umask(mask);
  for (const char* name : {"closed/file", "closed/link", "closed", ""}) {
    const struct stat in = info_of(at(std::string("in/") + name));
    const struct stat out = info_of(at(std::string("out/") + name));
    EXPECT_EQ(in.st_mode, out.st_mode) << name;
    EXPECT_EQ(in.st_mtim.tv_sec, out.st_mtim.tv_sec) << "in/" << name;
    EXPECT_EQ(in.st_mtim.tv_nsec, out.st_mtim.tv_nsec) << "in/" << name;
  }
}

TEST_F(TreeTest, HardLinksComeBackAsOneFile) {
  put(at("in/first"), "shared");
  fs::create_directory(at("in/z"));
  fs::create_hard_link(at("in/first"), at("in/z/second"));
  fs::create_hard_link(at("in/first"), at("in/z/third"));
  fs::create_hard_link(at("in/first"), at("elsewhere"));
  there_and_back();
  EXPECT_EQ(get(at("out/z/second")), "shared");
  EXPECT_EQ(info_of(at("out/first")).st_ino, info_of(at("out/z/second")).st_ino);
  EXPECT_EQ(info_of(at("out/first")).st_ino, info_of(at("out/z/third")).st_ino);
  EXPECT_EQ(info_of(at("out/first")).st_nlink, 3U);
}

TEST_F(TreeTest, NamesAreBytes) {
  const std::vector<std::string> odd = {
      "\xc3\xa9", "\xff\xfe", "new\nline", " ", "-rf", "._x", std::string(255, 'n'), "a\\b", "=1"};
  for (const std::string& name : odd) put(at("in/" + name), name);
  fs::create_symlink("\xff\xc3\xa9", at("in/link"));
  there_and_back();
  for (const std::string& name : odd) EXPECT_EQ(get(at("out/" + name)), name);
  EXPECT_EQ(fs::read_symlink(at("out/link")).string(), "\xff\xc3\xa9");
}

TEST_F(TreeTest, ExtendedAttributesComeBack) {
  const std::string value("\0\n=\xff", 4);
  const std::string large(3000, 'v');
  put(at("in/file"), "x");
  const auto set = [](const std::string& path, const std::string& v) {
    return setxattr(path.c_str(), "user.some=name", v.data(), v.size(), 0);
  };
  if (set(at("in/file"), value) != 0) GTEST_SKIP() << "no user attributes here";
  fs::create_directory(at("in/folder"));
  ASSERT_EQ(setxattr(at("in/folder").c_str(), "user.large", large.data(), large.size(), 0), 0);
  ASSERT_EQ(setxattr(at("in").c_str(), "user.empty", "", 0, 0), 0);
  ASSERT_EQ(removexattr(at("in/file").c_str(), "user.some=name"), 0);
  ASSERT_EQ(setxattr(at("in/file").c_str(), "user.name", value.data(), value.size(), 0), 0);
  there_and_back();
  std::string got(4096, '\0');
  ASSERT_EQ(getxattr(at("out/file").c_str(), "user.name", got.data(), got.size()), 4);
  EXPECT_EQ(got.substr(0, 4), value);
  ASSERT_EQ(getxattr(at("out/folder").c_str(), "user.large", got.data(), got.size()), 3000);
  EXPECT_EQ(got.substr(0, 3000), large);
  EXPECT_EQ(getxattr(at("out").c_str(), "user.empty", got.data(), got.size()), 0);
}

// The kernel's form: version 2, then tag, permissions and id, each little-endian.
std::string acl_for_user_1234() {
  const auto entry = [](char tag, char permissions, const char(&id)[5]) {
    return std::string({tag, 0, permissions, 0}) + std::string(id, 4);
  };
  const char none[] = "\xff\xff\xff\xff";
  const char user_1234[5] = {'\xd2', '\x04'};
  return std::string("\x02\0\0\0", 4) + entry(0x01, 6, none) + entry(0x02, 4, user_1234) +
         entry(0x04, 0, none) + entry(0x10, 4, none) + entry(0x20, 0, none);
}

TEST_F(TreeTest, AccessControlListsComeBack) {
  const std::string acl = acl_for_user_1234();
  fs::create_directory(at("in/folder"));
  put(at("in/file"), "x");
  ASSERT_EQ(mkfifo(at("in/fifo").c_str(), 0600), 0);
  const char* access = "system.posix_acl_access";
  const char* fallback = "system.posix_acl_default";
  if (setxattr(at("in/file").c_str(), access, acl.data(), acl.size(), 0) != 0) {
    GTEST_SKIP() << "no access control lists here";
  }
  ASSERT_EQ(setxattr(at("in/fifo").c_str(), access, acl.data(), acl.size(), 0), 0);
  ASSERT_EQ(setxattr(at("in/folder").c_str(), fallback, acl.data(), acl.size(), 0), 0);
  // What the place hands down must not come in between.
  ASSERT_EQ(setxattr(folder.c_str(), fallback, acl.data(), acl.size(), 0), 0);
  there_and_back();
  const auto list = [](const std::string& path, const char* name) {
    std::string got(256, '\0');
    const ssize_t size = getxattr(path.c_str(), name, got.data(), got.size());
    return got.substr(0, size < 0 ? 0 : static_cast<std::size_t>(size));
  };
  EXPECT_EQ(list(at("out/file"), access), acl);
  EXPECT_EQ(list(at("out/fifo"), access), acl);
  EXPECT_EQ(list(at("out/folder"), fallback), acl);
  EXPECT_EQ(list(at("out"), access), "");
  EXPECT_EQ(list(at("out"), fallback), "");
}

TEST_F(TreeTest, HolesStayHoles) {
  constexpr off_t kSize = off_t{1} << 30;
  put(at("in/hole"), "");
  ASSERT_EQ(truncate(at("in/hole").c_str(), kSize), 0);
  put(at("in/middle"), "begin");
  const UniqueFd fd(open(at("in/middle").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(pwrite(fd.get(), "middle", 6, kSize / 2), 6);
  ASSERT_EQ(ftruncate(fd.get(), kSize + 1), 0);
  there_and_back();
  EXPECT_EQ(info_of(at("out/hole")).st_size, kSize);
  EXPECT_EQ(info_of(at("out/middle")).st_size, kSize + 1);
  EXPECT_LT(info_of(at("tar")).st_size, 1'000'000);
  EXPECT_LT(info_of(at("out/hole")).st_blocks, 1000);
  EXPECT_LT(info_of(at("out/middle")).st_blocks, 1000);
  const UniqueFd out(open(at("out/middle").c_str(), O_RDONLY | O_CLOEXEC));
  char got[8] = {};
  ASSERT_EQ(pread(out.get(), got, 8, kSize / 2 - 1), 8);
  EXPECT_EQ(std::string(got, 8), std::string("\0middle\0", 8));
}

// A disk can take minutes to free thousands of pieces; memory does not.
class TreeInMemoryTest : public TreeFixture {
 protected:
  TreeInMemoryTest() {
    std::string name = "/dev/shm/cks-tree-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) memory = name;
  }
  ~TreeInMemoryTest() override {
    if (!memory.empty()) fs::remove_all(memory);
  }
  TreeInMemoryTest(const TreeInMemoryTest&) = delete;
  TreeInMemoryTest& operator=(const TreeInMemoryTest&) = delete;

  std::string memory;
};

void expect_same_content(const std::string& path, const std::string& other) {
  const UniqueFd a_fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd b_fd(open(other.c_str(), O_RDONLY | O_CLOEXEC));
  Bytes a(1 << 20);
  Bytes b(1 << 20);
  for (std::uint64_t offset = 0;; offset += a.size()) {
    const std::size_t n = pread_full(a_fd.get(), a, offset).value();
    ASSERT_EQ(n, pread_full(b_fd.get(), b, offset).value());
    ASSERT_TRUE(same_bytes(a, b)) << path << " at " << offset;
    if (n == 0) return;
  }
}

// More pieces than an archive lists: the small holes are filled, the large one is not.
TEST_F(TreeInMemoryTest, AFileOfManyPiecesComesBack) {
  if (memory.empty()) GTEST_SKIP() << "no /dev/shm";
  constexpr off_t kSize = off_t{1} << 28;
  fs::create_directory(memory + "/in");
  fs::create_symlink(memory, at("memory"));
  const UniqueFd few(open((memory + "/in/few").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const UniqueFd many(open((memory + "/in/many").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  for (off_t i = 0; i < 4200; ++i) {
    ASSERT_EQ(pwrite(many.get(), &i, 2, i * 8192), 2);
    if (i < 500) {
      ASSERT_EQ(pwrite(few.get(), &i, 2, i * 8192), 2);
    }
  }
  ASSERT_EQ(ftruncate(many.get(), kSize), 0);
  const auto packed = pack("memory/in", "tar");
  ASSERT_TRUE(packed.ok()) << message(packed);
  const auto unpacked = unpack("tar", "memory/out");
  ASSERT_TRUE(unpacked.ok()) << message(unpacked);
  EXPECT_LT(info_of(memory + "/out/few").st_blocks, 500 * 9);
  EXPECT_LT(info_of(memory + "/out/many").st_blocks, 4200 * 17);
  expect_same_content(memory + "/in/few", memory + "/out/few");
  expect_same_content(memory + "/in/many", memory + "/out/many");
}

TEST_F(TreeTest, EqualFoldersGiveEqualBytes) {
  fs::create_directory(at("twin"));
  const std::vector<std::string> some = {"b", "a", "c", "ab", "B"};
  for (const std::string& name : some) put(at("in/" + name), name);
  for (auto name = some.rbegin(); name != some.rend(); ++name) put(at("twin/" + *name), *name);
  for (const std::string top : {"in", "twin"}) {
    for (const std::string& name : some) set_time(at(top) + "/" + name, 5, 7);
    set_time(at(top), 5, 7);
  }
  ASSERT_TRUE(pack("in", "tar").ok());
  ASSERT_TRUE(pack("twin", "tar2").ok());
  EXPECT_EQ(get(at("tar")), get(at("tar2")));
  put(at("twin/a"), "A");
  set_time(at("twin/a"), 5, 7);
  ASSERT_TRUE(pack("twin", "tar2").ok());
  EXPECT_NE(get(at("tar")), get(at("tar2")));
}

TEST_F(TreeTest, SocketsAndDevicesAreLeftOutWithAWarning) {
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = at("in/\x1bsocket");
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  put(at("in/file"), "x");
  const bool device = mknod(at("in/zero").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0;
  const auto packed = pack("in", "tar");
  ASSERT_TRUE(packed.ok()) << message(packed);
  ASSERT_EQ(packed.value().size(), device ? 2U : 1U);
  EXPECT_EQ(packed.value()[0], "\"\\x1bsocket\" is left out: it is a socket.");
  if (device) {
    EXPECT_EQ(packed.value()[1], "\"zero\" is left out: it is a device node.");
  }
  ASSERT_TRUE(unpack("tar", "out").ok());
  EXPECT_TRUE(fs::exists(at("out/file")));
  EXPECT_EQ(std::distance(fs::directory_iterator(at("out")), {}), 1);
}

// The archive is read slowly, and the file changes when its beginning has arrived.
void expect_change_is_seen(const std::string& in, const std::function<void()>& change) {
  Pipe pipe = std::move(make_pipe()).value();
  const UniqueFd folder(open(in.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::thread reader([&] {
    Bytes block(100'000);
    ASSERT_EQ(read_full(pipe.read_end.get(), block).value(), block.size());
    change();
    while (read_full(pipe.read_end.get(), block).value() > 0) {
    }
  });
  const auto packed = write_tree(folder.get(), pipe.write_end.get());
  pipe.write_end.reset();
  reader.join();
  ASSERT_FALSE(packed.ok());
  EXPECT_EQ(packed.error().message,
            "\"file\" changed while it was read; stop what writes to the folder, or seal a copy of "
            "it.");
}

TEST_F(TreeTest, AFileThatChangesIsAnError) {
  put(at("in/file"), std::string(4'000'000, 'x'));
  expect_change_is_seen(at("in"), [&] { fs::resize_file(at("in/file"), 5'000'000); });
  expect_change_is_seen(at("in"), [&] { fs::resize_file(at("in/file"), 1'000'000); });
  put(at("in/file"), std::string(4'000'000, 'x'));
  expect_change_is_seen(at("in"), [&] { put(at("in/file"), std::string(4'000'000, 'y')); });
}

TEST_F(TreeTest, AFileThatCannotBeReadIsAnError) {
  put(at("in/file"), "x");
  ASSERT_EQ(chmod(at("in/file").c_str(), 0), 0);
  ASSERT_TRUE(geteuid() != 0 || chown(at("in").c_str(), 65534, 65534) == 0);
  expect_as_other_user(folder, [&] {
    const auto packed = pack("in", "tar");
    return !packed.ok() && packed.error().cause == EACCES &&
           packed.error().message.starts_with("Cannot open \"file\": Permission denied");
  });
}

TEST_F(TreeTest, AFullDeviceIsAnError) {
  put(at("in/file"), "x");
  const UniqueFd in(open(at("in").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto packed = write_tree(in.get(), full.get());
  ASSERT_FALSE(packed.ok());
  EXPECT_EQ(packed.error().cause, static_cast<std::uint32_t>(ENOSPC));
}

TEST_F(TreeTest, TooDeepIsAnErrorAtOnce) {
  std::string path = "in";
  for (std::size_t i = 0; i < kMaxTreeDepth; ++i) fs::create_directory(at(path += "/d"));
  put(at(path + "/file"), "x");
  there_and_back();
  EXPECT_EQ(get(at("out" + path.substr(2) + "/file")), "x");
  fs::create_directory(at(path + "/d"));
  const auto packed = pack("in", "tar");
  ASSERT_FALSE(packed.ok());
  EXPECT_NE(packed.error().message.find("too deep"), std::string::npos);
}

TEST_F(TreeTest, TooLongAPathIsAnErrorAtOnce) {
  const std::string part(250, 'p');
  UniqueFd at_level(open(at("in").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 17; ++i) {
    ASSERT_EQ(mkdirat(at_level.get(), part.c_str(), 0700), 0);
    at_level.reset(openat(at_level.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  const auto packed = pack("in", "tar");
  ASSERT_FALSE(packed.ok());
  EXPECT_NE(packed.error().message.find("is longer than the 4095 bytes"), std::string::npos);
}

TEST_F(TreeTest, MemoryDoesNotGrowWithFiles) {
  std::string large;
  large.resize(64'000'000, 'x');
  put(at("in/file"), large);
  const auto peak_kib = [](const std::function<bool()>& body) {
    Pipe pipe = std::move(make_pipe()).value();
    auto child = Child::fork([&] {
      rusage before = {};
      getrusage(RUSAGE_SELF, &before);
      const bool good = body();
      rusage after = {};
      getrusage(RUSAGE_SELF, &after);
      const long grown = after.ru_maxrss - before.ru_maxrss;
      write_full(pipe.write_end.get(), as_bytes(std::to_string(good ? grown : 1L << 30))).ok();
      return 0;
    });
    EXPECT_TRUE(child.value().wait().value().success());
    pipe.write_end.reset();
    Bytes text(32);
    const std::size_t n = read_full(pipe.read_end.get(), text).value();
    return std::stol(std::string(as_text(ByteView(text).first(n))));
  };
  EXPECT_LT(peak_kib([&] { return pack("in", "tar").ok(); }), 32L << 10);
  EXPECT_LT(peak_kib([&] { return unpack("tar", "out").ok(); }), 32L << 10);
}

// An independent reader and writer agree.
TEST_F(TreeTest, OtherProgramsReadAndWriteTheSame) {
  if (!run_program({"tar", "--version"}, std::chrono::seconds(10)).ok()) GTEST_SKIP() << "no tar";
  fs::create_directory(at("in/d"));
  put(at("in/d/file"), "content");
  put(at("in/" + std::string(200, 'l')), "long");
  fs::create_hard_link(at("in/d/file"), at("in/other"));
  set_time(at("in/d/file"), 5, 123);
  ASSERT_TRUE(pack("in", "tar").ok());
  fs::create_directory(at("theirs"));
  const auto theirs =
      run_program({"tar", "-C", at("theirs"), "-xf", at("tar")}, std::chrono::seconds(30));
  ASSERT_TRUE(theirs.ok()) << theirs.error().message;
  EXPECT_EQ(get(at("theirs/other")), "content");
  EXPECT_EQ(info_of(at("theirs/d/file")).st_mtim.tv_nsec, 123);
  const auto written = run_program({"tar", "-C", at("in"), "--format=pax", "-cf", at("tar2"), "."},
                                   std::chrono::seconds(30));
  ASSERT_TRUE(written.ok()) << written.error().message;
  const auto unpacked = unpack("tar2", "out");
  ASSERT_TRUE(unpacked.ok()) << message(unpacked);
  EXPECT_EQ(get(at("out/other")), "content");
  EXPECT_EQ(get(at("out/" + std::string(200, 'l'))), "long");
  EXPECT_EQ(info_of(at("out/d/file")).st_mtim.tv_nsec, 123);
}

}  // namespace
}  // namespace ckptseal
