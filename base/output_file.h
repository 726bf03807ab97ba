// SPDX-License-Identifier: Apache-2.0
//
// A file that appears whole or not at all: written without a name, synced, then linked into place.
#pragma once

#include <string>

#include "base/fd.h"

namespace ckptseal {

class OutputFile {
 public:
  enum class Replace { never, allowed };
  // How the unfinished file lives: without a name (O_TMPFILE), or, where the file system has no
  // such thing, under a hidden name of its own beside the target.
  enum class Unfinished { unnamed_if_possible, named };

  // `path` is the final name; `mode` its permissions before the umask. Fails with Code::failed if
  // `path` exists and may not be replaced, is a folder, or its folder cannot be written to.
  static Result<OutputFile> create(const std::string& path, unsigned mode, Replace replace,
                                   Unfinished unfinished = Unfinished::unnamed_if_possible);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();  // what was not committed is gone

  int fd() const { return fd_.get(); }
  // fsync, the name, fsync of the folder. Once it returns success the file is durable. When it
  // fails there is no new file; but one that replaces another stays when only the last fsync
  // failed.
  Status commit();

 private:
  OutputFile(std::string path, Replace replace) : path_(std::move(path)), replace_(replace) {}
  Status open_unfinished(unsigned mode, Unfinished unfinished);
  Status give_name();
  std::string temporary_name() const;

  std::string path_;
  Replace replace_;
  UniqueFd folder_;
  UniqueFd fd_;
  std::string temporary_;  // its hidden name, empty while it has none
};

Status write_file(const std::string& path, ByteView content, unsigned mode,
                  OutputFile::Replace replace);

// An unnamed file in `folder` that is gone when its descriptor closes.
Result<UniqueFd> make_spool_file(const std::string& folder);

}  // namespace ckptseal
