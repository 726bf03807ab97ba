// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes that go on after a signal or a short count.
#include "base/fd.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace ckptseal {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("Cannot make a pipe", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> open_file(const std::string& path, int flags, const std::string& what) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd.valid()) return system_error(fmt::format("Cannot open {}", what), errno);
  return fd;
}

namespace {

// Calls `transfer(done)` until `size` bytes are moved, the input ends or an error comes.
template <typename Transfer>
Result<std::size_t> repeat(std::size_t size, const char* what, Transfer transfer) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = transfer(done);
    if (n < 0) {
      if (errno == EINTR) continue;
      return system_error(what, errno);
    }
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

}  // namespace

Result<std::size_t> read_full(int fd, MutableByteView out) {
  return repeat(out.size(), "Cannot read",
                [&](std::size_t done) { return read(fd, out.data() + done, out.size() - done); });
}

Result<std::size_t> pread_full(int fd, MutableByteView out, std::uint64_t offset) {
  return repeat(out.size(), "Cannot read", [&](std::size_t done) {
    return pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
  });
}

Status write_full(int fd, ByteView bytes) {
  CKPTSEAL_ASSIGN(const std::size_t done, repeat(bytes.size(), "Cannot write", [&](std::size_t n) {
                    return write(fd, bytes.data() + n, bytes.size() - n);
                  }));
  if (done != bytes.size()) return system_error("Cannot write", ENOSPC);
  return {};
}

Status pwrite_full(int fd, ByteView bytes, std::uint64_t offset) {
  CKPTSEAL_ASSIGN(const std::size_t done, repeat(bytes.size(), "Cannot write", [&](std::size_t n) {
                    return pwrite(fd, bytes.data() + n, bytes.size() - n,
                                  static_cast<off_t>(offset + n));
                  }));
  if (done != bytes.size()) return system_error("Cannot write", ENOSPC);
  return {};
}

Result<Bytes> read_file(const std::string& path, std::size_t limit, const std::string& what) {
  CKPTSEAL_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK, what));
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return system_error(fmt::format("Cannot read {}", what), errno);
  if (!S_ISREG(info.st_mode)) {
    return Error{Code::failed, fmt::format("Cannot read {}: it is not a regular file.", what), 0};
  }
  if (info.st_size < 0 || static_cast<std::uint64_t>(info.st_size) > limit) {
    return Error{Code::failed,
                 fmt::format("Cannot read {}: it has {} bytes, more than the {} it may have.", what,
                             info.st_size, limit),
                 0};
  }
  Bytes out(static_cast<std::size_t>(info.st_size));
  CKPTSEAL_ASSIGN(const std::size_t done, read_full(fd.get(), out));
  out.resize(done);
  return out;
}

}  // namespace ckptseal
