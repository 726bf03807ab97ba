// SPDX-License-Identifier: Apache-2.0
//
// Owned file descriptors, and whole reads and writes on them.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};
Result<Pipe> make_pipe();  // both close on exec

// Opens close-on-exec. `what` names the file in the error, for example "the sealed file x.cks".
Result<UniqueFd> open_file(const std::string& path, int flags, const std::string& what);

// Reads until `out` is full or the input ends; the number of bytes read.
Result<std::size_t> read_full(int fd, MutableByteView out);
Result<std::size_t> pread_full(int fd, MutableByteView out, std::uint64_t offset);
Status write_full(int fd, ByteView bytes);
Status pwrite_full(int fd, ByteView bytes, std::uint64_t offset);

// A whole regular file of at most `limit` bytes. `what` as above.
Result<Bytes> read_file(const std::string& path, std::size_t limit, const std::string& what);

}  // namespace ckptseal
