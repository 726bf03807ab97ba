// SPDX-License-Identifier: Apache-2.0
//
// Folders and files whose content is believed because nobody else could have written it: the state
// folder and what lies in it. Symbolic links are never followed, and what others may write is
// refused. docs/state.md, "Who may write".
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/result.h"

namespace ckptseal {

// What others than the owner must not be able to do.
enum class Guard : unsigned { no_writing = 0022, no_access = 0077 };

// `what` names the folder or file in errors, for example "the state folder /var/lib/ckpt-seal".
// All return Code::failed; the cause is ENOENT when there is nothing at `path`.

// A folder, not a link, that belongs to this user or root. The descriptor is for *at() calls.
Result<UniqueFd> open_private_folder(const std::string& path, Guard guard, const std::string& what);
// Makes it (0700) if it is not there; its parent must be. Then as above.
Result<UniqueFd> make_private_folder(const std::string& path, Guard guard, const std::string& what);
// A regular file of at most `limit` bytes, not a link, that belongs to this user or root and that
// nobody else may write.
Result<Bytes> read_private_file(const std::string& path, std::size_t limit,
                                const std::string& what);
// A regular file to append to and to read, made with mode 0600 if it is not there; not a link, of
// this user or root, and closed to everybody else.
Result<UniqueFd> open_private_log(const std::string& path, const std::string& what);
// The names in a folder, sorted, without those that begin with a dot.
Result<std::vector<std::string>> list_folder(const std::string& path, const std::string& what);
// Durable once it returns. What is not there is no error.
Status remove_file(const std::string& path, const std::string& what);
// An empty folder; one that is not there is no error.
Status remove_folder(const std::string& path, const std::string& what);

}  // namespace ckptseal
