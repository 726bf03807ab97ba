// SPDX-License-Identifier: Apache-2.0
#include "sealing/content_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"

namespace ckptseal {

// What stands behind the position of a file would show in a hole, and with O_APPEND there is none.
Result<ContentOutput> ContentOutput::from_here_on(int fd) {
  struct stat info = {};
  const int flags = fcntl(fd, F_GETFL);
  if (fstat(fd, &info) != 0 || flags < 0) return system_error("Cannot write", errno);
  if (!S_ISREG(info.st_mode) || (flags & O_APPEND) != 0) return ContentOutput(fd, false);
  const off_t position = lseek(fd, 0, SEEK_CUR);
  if (position < 0) return system_error("Cannot write", errno);
  return ContentOutput(fd, position >= info.st_size);
}

Status ContentOutput::write(ByteView bytes) {
  if (!bytes.empty()) ends_in_hole_ = false;
  return write_full(fd_, bytes);
}

Status ContentOutput::write_hole(ByteView zeros) {
  if (!has_holes_) return write(zeros);
  ends_in_hole_ = true;
  if (lseek(fd_, static_cast<off_t>(zeros.size()), SEEK_CUR) >= 0) return {};
  return system_error("Cannot write", errno);
}

Status ContentOutput::finish() {
  if (!ends_in_hole_) return {};
  const off_t end = lseek(fd_, 0, SEEK_CUR);
  if (end >= 0 && ftruncate(fd_, end) == 0) return {};
  return system_error("Cannot write", errno);
}

}  // namespace ckptseal
