// SPDX-License-Identifier: Apache-2.0
//
// A folder as the one image of a `tree` (docs/format.md, "Contents"), and back: a tar stream in
// POSIX pax format. The archive comes authenticated, and is still treated as hostile: who signed it
// may have lost his key.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "base/result.h"

namespace ckptseal {

// What was left out or could not be restored, one sentence each, at most 101 of them.
using TreeWarnings = std::vector<std::string>;

// Writes everything below the folder, and its own permissions, to `output_fd`, from the first byte
// to the end marker: regular files (holes stay holes), folders, symbolic links (never followed),
// hard links between regular files, and FIFOs; permissions, numeric owners, times of modification
// to the nanosecond, extended attributes and POSIX ACLs. File systems mounted below are included.
//  - Equal folders give equal bytes: names in the order of their bytes, no inode or device numbers.
//  - Sockets and device nodes are left out, with a warning.
//  - A file that changes or goes while it is read is Code::failed, as is whatever cannot be read.
//  - Memory: the names of the folders on the way down, one buffer, and one name for each file that
//    has other links yet to come.
// Does not depend on the current folder. The caller ignores SIGPIPE.
Result<TreeWarnings> write_tree(int folder_fd, int output_fd);

// Unpacks such a stream into a hidden folder beside `target`, closed to others, which becomes
// `target` only in commit(). So a caller can first hear whether the producer of the stream
// succeeded.
//  - Refused with Code::integrity: absolute names, "..", names that lead through a symbolic link,
//    hard links to anything but a file of this archive, devices, names that occur twice, damage,
//    and an archive without its end marker. Symbolic links may point anywhere: none is followed.
//  - As root, owners, set-user-id bits and file capabilities are restored. As another user
//    everything belongs to that user, and set-user-id and set-group-id bits of files are dropped
//    with a warning.
//  - What lives on when the process is killed is the hidden folder .NAME.PID-N.unfinished.
class TreeExtractor {
 public:
  // Starts to unpack, in a child process that has no other descriptors than `input_fd` and 0 to 2;
  // so the caller may keep the writing end of a pipe open. Call it from a thread that lives until
  // finish(): the child dies with it. Code::failed if `target` exists and may not be replaced. What
  // may be replaced is a folder.
  static Result<TreeExtractor> start(int input_fd, const std::string& target,
                                     OutputFile::Replace replace = OutputFile::Replace::never);

  TreeExtractor(TreeExtractor&&) noexcept;
  TreeExtractor& operator=(TreeExtractor&&) = delete;
  TreeExtractor(const TreeExtractor&) = delete;
  TreeExtractor& operator=(const TreeExtractor&) = delete;
  ~TreeExtractor();  // ends the child; what was not committed is gone

  // Waits until the stream has ended, everything is unpacked and on the disk. Once.
  Result<TreeWarnings> finish();
  // After finish(). Gives the name; once it returns success the folder is durable.
  Status commit();

 private:
  struct State;
  explicit TreeExtractor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// All three steps, for a stream whose end says enough.
Result<TreeWarnings> extract_tree(int input_fd, const std::string& target,
                                  OutputFile::Replace replace = OutputFile::Replace::never);

}  // namespace ckptseal
