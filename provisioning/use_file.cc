// SPDX-License-Identifier: Apache-2.0
//
// The lock is a file of its own, for each change puts another file under the record's name.
#include "provisioning/use_file.h"

#include <fmt/format.h>

#include <cerrno>

#include "base/file_lock.h"
#include "base/output_file.h"
#include "base/private_files.h"
#include "base/step.h"

namespace ckptseal {

Result<std::optional<UseRecord>> read_uses(const std::string& path) {
  Result<Bytes> content = read_private_file(path, UseRecord::largest_size, path);
  if (!content.ok() && content.error().cause == ENOENT) return std::optional<UseRecord>();
  if (!content.ok()) return std::move(content).error();
  CKPTSEAL_ASSIGN(UseRecord record, UseRecord::parse(content.value(), path));
  return std::optional<UseRecord>(std::move(record));
}

Status write_uses(const std::string& path, const UseRecord& record) {
  CKPTSEAL_ASSIGN(OutputFile file, OutputFile::create(path, 0600, OutputFile::Replace::allowed));
  CKPTSEAL_TRY(write_full(file.fd(), record.serialize()));
  reached("use: the record has no name");
  CKPTSEAL_TRY(file.commit());
  reached("use: the record is written");
  return {};
}

Result<UniqueFd> lock_uses(const std::string& path, std::chrono::milliseconds patience) {
  const std::string lock = path + ".lock";
  UniqueFd fd(open(lock.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return system_error(fmt::format("Cannot open {}", lock), errno);
  CKPTSEAL_ASSIGN(const bool locked, lock_file(fd.get(), patience, lock));
  if (locked) return fd;
  return Error{Code::unavailable,
               fmt::format("Another ckpt-seal has been using {} all the time: wait until it is "
                           "done, and try again.",
                           path),
               EWOULDBLOCK};
}

}  // namespace ckptseal
