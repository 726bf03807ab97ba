// SPDX-License-Identifier: Apache-2.0
//
// Two lines of defense: every name is checked here, against what already lies in the folder, and
// libarchive's own checks (ARCHIVE_EXTRACT_SECURE_*) are on as well.
#include "sealing/tree_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <memory>
#include <optional>

namespace ckptseal {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
constexpr std::uint64_t kEndMarker = 1024;  // POSIX: two blocks of zeros

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

struct Source {
  int fd = -1;
  std::uint64_t size = 0;         // so far
  std::uint64_t zeros_since = 0;  // no byte at or behind this offset is other than zero
  std::optional<Error> error;
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(kBlock);

  Result<std::size_t> fill();
};

Result<std::size_t> Source::fill() {
  CKPTSEAL_ASSIGN(const std::size_t n, read_full(fd, buffer));
  const auto last = std::find_if(buffer.rend() - static_cast<std::ptrdiff_t>(n), buffer.rend(),
                                 [](std::uint8_t byte) { return byte != 0; });
  if (last != buffer.rend()) {
    zeros_since = size + static_cast<std::uint64_t>(buffer.rend() - last);
  }
  size += n;
  return n;
}

la_ssize_t read_block(archive* a, void* client, const void** data) {
  auto* source = static_cast<Source*>(client);
  Result<std::size_t> n = source->fill();
  if (!n.ok()) {
    source->error = std::move(n).error();
    archive_set_error(a, static_cast<int>(source->error->cause), "%s", "Cannot read the archive");
    return ARCHIVE_FATAL;
  }
  *data = source->buffer.data();
  return static_cast<la_ssize_t>(n.value());
}

std::string why_of(archive* a) {
  const char* why = archive_error_string(a);
  return why == nullptr ? "libarchive does not say why" : why;
}

// `clause` follows the name of the entry.
Error hostile(const std::string& name, const std::string& clause) {
  return Error{Code::integrity,
               fmt::format("The archive is refused because its entry {} {}; do not trust its "
                           "origin.",
                           quote_name(name), clause),
               0};
}

// The same name without "./" before and "/" behind it; "." for the folder itself.
Result<std::string> check_name(const char* raw, bool is_folder) {
  std::string name = raw == nullptr ? "" : raw;
  const std::string shown = name;
  if (name.starts_with('/')) return hostile(shown, "has an absolute name");
  if (name.starts_with("./")) name.erase(0, 2);
  if (is_folder && name.ends_with('/')) name.pop_back();
  if (is_folder && (name == "." || (name.empty() && shown == "./"))) return std::string(".");
  if (name.size() > kMaxTreePath) return hostile(shown, "has too long a name");
  std::size_t depth = 0;
  for (std::size_t begin = 0; begin <= name.size(); ++depth) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (part == "..") return hostile(shown, "would leave the folder");
    if (part.empty() || part == ".") return hostile(shown, "has a name of another form");
    begin = end + 1;
  }
  if (depth > kMaxTreeDepth + 1) return hostile(shown, "lies too deep");
  return name;
}

// Every folder on the way to `name` that is there already must be a folder and no link to one.
Status check_way(const std::string& name) {
  for (std::size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
    struct stat info = {};
    if (lstat(name.substr(0, at).c_str(), &info) != 0) {
      if (errno == ENOENT) return {};  // libarchive makes it
      return system_error(fmt::format("Cannot unpack {}", quote_name(name)), errno);
    }
    if (S_ISLNK(info.st_mode)) return hostile(name, "leads through a symbolic link");
    if (!S_ISDIR(info.st_mode)) return hostile(name, "leads through a file");
  }
  return {};
}

class Unpacker {
 public:
  Unpacker(int input_fd, WarningList& warnings) : warnings_(warnings) { source_.fd = input_fd; }

  Status run();

 private:
  Status open();
  Status open_output();
  Status close_output();
  Status finish_top();
  Status unpack(archive_entry* entry);
  Status admit(archive_entry* entry, std::string& name);
  Status admit_hard_link(archive_entry* entry, const std::string& name);
  Status admit_type(archive_entry* entry, const std::string& name);
  Status copy_content(const std::string& name);
  Status check_end();
  Error damaged();
  // Of an answer of the writing side.
  Status judge(int result, const std::string& name);

  WarningList& warnings_;
  const bool is_root_ = geteuid() == 0;
  Source source_;
  std::unique_ptr<archive, FreeReader> in_;
  std::unique_ptr<archive, FreeWriter> out_;
  std::unique_ptr<archive_entry, FreeEntry> top_;  // the folder itself
};

Status Unpacker::open() {
  in_.reset(archive_read_new());
  if (in_ == nullptr) return system_error("Cannot unpack an archive", ENOMEM);
  if (archive_read_support_format_tar(in_.get()) != ARCHIVE_OK ||
      archive_read_open(in_.get(), &source_, nullptr, read_block, nullptr) != ARCHIVE_OK) {
    return damaged();
  }
  return open_output();
}

Status Unpacker::open_output() {
  out_.reset(archive_write_disk_new());
  if (out_ == nullptr) return system_error("Cannot unpack an archive", ENOMEM);
  int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_ACL |
              ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
              ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
  if (is_root_) flags |= ARCHIVE_EXTRACT_OWNER;
  return judge(archive_write_disk_set_options(out_.get(), flags), ".");
}

// Permissions and times of folders come now.
Status Unpacker::close_output() {
  if (archive_write_close(out_.get()) != ARCHIVE_OK) return judge(ARCHIVE_FAILED, ".");
  return {};
}

// The folder itself comes last: libarchive finds it there, so it would give it its time at once,
// and what is unpacked into it would change that.
Status Unpacker::finish_top() {
  CKPTSEAL_TRY(close_output());
  if (top_ == nullptr) return {};
  CKPTSEAL_TRY(open_output());
  CKPTSEAL_TRY(judge(archive_write_header(out_.get(), top_.get()), "."));
  CKPTSEAL_TRY(judge(archive_write_finish_entry(out_.get()), "."));
  return close_output();
}

Error Unpacker::damaged() {
  if (source_.error.has_value()) return *source_.error;
  return Error{Code::integrity,
               fmt::format("The archive cannot be unpacked because it is cut or damaged ({}); get "
                           "it again from its origin.",
                           why_of(in_.get())),
               0};
}

Status Unpacker::judge(int result, const std::string& name) {
  if (result == ARCHIVE_OK) return {};
  if (result == ARCHIVE_WARN) {
    warnings_.add(fmt::format("Not all attributes of {} are restored: {}.", quote_name(name),
                              why_of(out_.get())));
    return {};
  }
  const int cause = archive_errno(out_.get());
  if (cause > 0 && cause != EILSEQ) {
    return system_error(fmt::format("Cannot unpack {}", quote_name(name)), cause);
  }
  return hostile(name, fmt::format("cannot be unpacked ({})", why_of(out_.get())));
}

Status Unpacker::admit_hard_link(archive_entry* entry, const std::string& name) {
  CKPTSEAL_ASSIGN(const std::string to, check_name(archive_entry_hardlink(entry), false));
  CKPTSEAL_TRY(check_way(to));
  struct stat info = {};
  if (lstat(to.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return hostile(name, "is a hard link to what is no file of the archive");
  }
  // The first of its names has brought content and attributes.
  archive_entry_copy_hardlink(entry, to.c_str());
  archive_entry_unset_size(entry);
  return {};
}

Status Unpacker::admit_type(archive_entry* entry, const std::string& name) {
  if (archive_entry_hardlink(entry) != nullptr) return admit_hard_link(entry, name);
  const auto type = archive_entry_filetype(entry);
  if (type == AE_IFCHR || type == AE_IFBLK) return hostile(name, "is a device node");
  if (type == AE_IFREG || type == AE_IFIFO) {
    const auto mode = archive_entry_perm(entry);
    if (!is_root_ && (mode & (S_ISUID | S_ISGID)) != 0) {
      archive_entry_set_perm(entry, mode & ~static_cast<mode_t>(S_ISUID | S_ISGID));
      warnings_.add(fmt::format(
          "{} is restored without its set-user-id and set-group-id bits, which takes root.",
          quote_name(name)));
    }
    return {};
  }
  if (type == AE_IFDIR) return {};
  if (type == AE_IFLNK && archive_entry_symlink(entry) != nullptr) return {};
  return hostile(name, "is of a kind that a folder does not hold");
}

Status Unpacker::admit(archive_entry* entry, std::string& name) {
  const bool is_folder =
      archive_entry_filetype(entry) == AE_IFDIR && archive_entry_hardlink(entry) == nullptr;
  CKPTSEAL_ASSIGN(name, check_name(archive_entry_pathname(entry), is_folder));
  CKPTSEAL_TRY(check_way(name));
  struct stat info = {};
  if (lstat(name.c_str(), &info) == 0) {
    // A folder may be there because of what lies in it.
    if (!is_folder || !S_ISDIR(info.st_mode)) return hostile(name, "occurs twice");
  } else if (errno != ENOENT) {
    return system_error(fmt::format("Cannot unpack {}", quote_name(name)), errno);
  }
  archive_entry_copy_pathname(entry, name.c_str());
  return admit_type(entry, name);
}

Status Unpacker::copy_content(const std::string& name) {
  for (;;) {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int got = archive_read_data_block(in_.get(), &data, &size, &offset);
    if (got == ARCHIVE_EOF) return {};
    if (got != ARCHIVE_OK) return damaged();
    if (archive_write_data_block(out_.get(), data, size, offset) < ARCHIVE_OK) {
      return judge(ARCHIVE_FAILED, name);
    }
  }
}

Status Unpacker::unpack(archive_entry* entry) {
  std::string name;
  CKPTSEAL_TRY(admit(entry, name));
  if (name == ".") {
    if (top_ != nullptr) return hostile(name, "occurs twice");
    top_.reset(archive_entry_clone(entry));
    return top_ != nullptr ? Status() : system_error("Cannot unpack an archive", ENOMEM);
  }
  CKPTSEAL_TRY(judge(archive_write_header(out_.get(), entry), name));
  const bool has_content =
      archive_entry_hardlink(entry) == nullptr && archive_entry_filetype(entry) == AE_IFREG;
  if (has_content) CKPTSEAL_TRY(copy_content(name));
  return judge(archive_write_finish_entry(out_.get()), name);
}

// libarchive takes an archive that is cut between two entries for a whole one.
Status Unpacker::check_end() {
  const auto end = static_cast<std::uint64_t>(archive_read_header_position(in_.get()));
  for (;;) {
    CKPTSEAL_ASSIGN(const std::size_t n, source_.fill());
    if (n == 0) break;
  }
  if (source_.size < end + kEndMarker) {
    return Error{Code::integrity,
                 "The archive is cut: its end marker is missing; get it again from its origin.", 0};
  }
  if (source_.zeros_since > end) {
    return Error{Code::integrity,
                 "The archive is damaged: something follows its end marker; get it again from its "
                 "origin.",
                 0};
  }
  return {};
}

Status Unpacker::run() {
  CKPTSEAL_TRY(open());
  for (;;) {
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(in_.get(), &entry);
    if (got == ARCHIVE_EOF) break;
    if (got != ARCHIVE_OK) return damaged();
    CKPTSEAL_TRY(unpack(entry));
  }
  CKPTSEAL_TRY(check_end());
  return finish_top();
}

}  // namespace

Status unpack_here(int input_fd, WarningList& warnings) {
  // Names that another program stored as UTF-8 come out as they are.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  return Unpacker(input_fd, warnings).run();
}

}  // namespace ckptseal
