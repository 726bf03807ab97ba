// SPDX-License-Identifier: Apache-2.0
//
// sealing/content_output.h: where a hole stays a hole, and where its zeros have to be written.
#include "sealing/content_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "sample.h"

namespace ckptseal {
namespace {

using test::content_of;
using test::memory_file;
using test::pattern;

constexpr std::size_t hole_size = std::size_t{1} << 20;
constexpr std::size_t block = 4096;

std::size_t bytes_on_disk(int fd) {
  struct stat info = {};
  EXPECT_EQ(fstat(fd, &info), 0);
  return static_cast<std::size_t>(info.st_blocks) * 512;
}

std::size_t size_of(int fd) {
  struct stat info = {};
  EXPECT_EQ(fstat(fd, &info), 0);
  return static_cast<std::size_t>(info.st_size);
}

Bytes joined(std::initializer_list<Bytes> parts) {
  ByteWriter out;
  for (const Bytes& part : parts) out.bytes(part);
  return out.take();
}

// A block, a hole and another block.
Bytes block_hole_block() {
  return joined({pattern("front", block), Bytes(hole_size), pattern("back", block)});
}

void write_block_hole_block(int fd) {
  Result<ContentOutput> output = ContentOutput::from_here_on(fd);
  ASSERT_TRUE(output.ok());
  ASSERT_TRUE(output.value().write(pattern("front", block)).ok());
  ASSERT_TRUE(output.value().write_hole(Bytes(hole_size)).ok());
  ASSERT_TRUE(output.value().write(pattern("back", block)).ok());
  ASSERT_TRUE(output.value().finish().ok());
}

TEST(ContentOutputTest, AFreshFileHasHoles) {
  const UniqueFd file = memory_file();
  write_block_hole_block(file.get());
  EXPECT_TRUE(content_of(file.get()) == block_hole_block());
  EXPECT_LE(bytes_on_disk(file.get()), 4 * block);
}

TEST(ContentOutputTest, AHoleAtTheEndCounts) {
  const UniqueFd file = memory_file();
  Result<ContentOutput> output = ContentOutput::from_here_on(file.get());
  ASSERT_TRUE(output.ok());
  ASSERT_TRUE(output.value().write(pattern("front", block)).ok());
  ASSERT_TRUE(output.value().write_hole(Bytes(hole_size)).ok());
  ASSERT_TRUE(output.value().write_hole(Bytes(100)).ok());
  ASSERT_TRUE(output.value().write({}).ok()) << "nothing behind it";
  ASSERT_TRUE(output.value().finish().ok());
  EXPECT_EQ(size_of(file.get()), block + hole_size + 100);
  EXPECT_TRUE(content_of(file.get()) == joined({pattern("front", block), Bytes(hole_size + 100)}));
  EXPECT_LE(bytes_on_disk(file.get()), 2 * block);
}

TEST(ContentOutputTest, AFileOfOneHole) {
  const UniqueFd file = memory_file();
  Result<ContentOutput> output = ContentOutput::from_here_on(file.get());
  ASSERT_TRUE(output.ok());
  ASSERT_TRUE(output.value().write_hole(Bytes(hole_size)).ok());
  ASSERT_TRUE(output.value().finish().ok());
  EXPECT_EQ(size_of(file.get()), hole_size);
  EXPECT_EQ(bytes_on_disk(file.get()), 0U);
}

TEST(ContentOutputTest, BehindWhatIsThereAreHoles) {
  const UniqueFd file = memory_file(as_bytes("before"));
  ASSERT_EQ(lseek(file.get(), 6, SEEK_SET), 6);
  write_block_hole_block(file.get());
  EXPECT_TRUE(content_of(file.get()) ==
              joined({{'b', 'e', 'f', 'o', 'r', 'e'}, block_hole_block()}));
  EXPECT_LE(bytes_on_disk(file.get()), 5 * block);
}

// What stood there would show in a hole.
TEST(ContentOutputTest, OverOtherBytesZerosAreWritten) {
  const Bytes there(2 * hole_size, 0xff);
  for (const off_t at : {0, 4096, 1}) {
    const UniqueFd file = memory_file(there);
    ASSERT_EQ(lseek(file.get(), at, SEEK_SET), at);
    write_block_hole_block(file.get());
    const Bytes content = content_of(file.get());
    ASSERT_EQ(content.size(), there.size()) << "what follows stays";
    const Bytes wanted = block_hole_block();
    EXPECT_TRUE(
        same_bytes(ByteView(content).subspan(static_cast<std::size_t>(at), wanted.size()), wanted))
        << at;
    EXPECT_EQ(content.back(), 0xff);
  }
}

// As a hole it would be over the last of these bytes.
TEST(ContentOutputTest, AByteThatIsThereIsEnough) {
  const UniqueFd file = memory_file(Bytes(block + 1, 0xff));
  write_block_hole_block(file.get());
  EXPECT_TRUE(content_of(file.get()) == block_hole_block());
}

// All goes to the end, wherever the file stands.
TEST(ContentOutputTest, WithAppendZerosAreWritten) {
  for (const off_t at : {0, 6}) {
    const UniqueFd file = memory_file(as_bytes("before"));
    ASSERT_EQ(fcntl(file.get(), F_SETFL, O_APPEND), 0);
    ASSERT_EQ(lseek(file.get(), at, SEEK_SET), at);
    write_block_hole_block(file.get());
    EXPECT_TRUE(content_of(file.get()) ==
                joined({{'b', 'e', 'f', 'o', 'r', 'e'}, block_hole_block()}));
    EXPECT_GE(bytes_on_disk(file.get()), hole_size);
  }
}

TEST(ContentOutputTest, ToAPipeZerosAreWritten) {
  Result<Pipe> pipe = make_pipe();
  ASSERT_TRUE(pipe.ok());
  Bytes read(2 * hole_size);
  std::thread reader([&] {
    const Result<std::size_t> size = read_full(pipe.value().read_end.get(), read);
    read.resize(size.ok() ? size.value() : 0);
  });
  write_block_hole_block(pipe.value().write_end.get());
  pipe.value().write_end.reset();
  reader.join();
  EXPECT_TRUE(read == block_hole_block());
}

TEST(ContentOutputTest, WhatCannotBeWrittenIsAnError) {
  EXPECT_FALSE(ContentOutput::from_here_on(-1).ok());
  const UniqueFd file(memfd_create("full", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW), 0);
  Result<ContentOutput> output = ContentOutput::from_here_on(file.get());
  ASSERT_TRUE(output.ok());
  EXPECT_TRUE(output.value().finish().ok()) << "nothing was written";
  ASSERT_TRUE(output.value().write_hole(Bytes(hole_size)).ok());
  EXPECT_FALSE(output.value().finish().ok()) << "the hole is not there";
}

}  // namespace
}  // namespace ckptseal
