// SPDX-License-Identifier: Apache-2.0
//
// A folder as a tar stream. libarchive encodes it and reads ACLs and extended attributes; the walk
// is our own, because its order must not depend on the file system and because every file is held
// by a descriptor from the first look at it: what is described is what is read.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>

#include "sealing/tree.h"
#include "sealing/tree_common.h"

namespace ckptseal {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
// A file in more pieces is stored with its smallest holes filled.
constexpr std::size_t kMaxPieces = 4096;
// libarchive reads back at most 1 MiB of what precedes a file.
constexpr std::size_t kMaxAttributes = std::size_t{512} << 10;

struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Writer = std::unique_ptr<archive, FreeWriter>;
using DiskReader = std::unique_ptr<archive, FreeReader>;
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

struct Piece {  // of a file, without the holes around it
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Sink {
  int fd = -1;
  std::optional<Error> error;
};

la_ssize_t write_block(archive* a, void* client, const void* data, std::size_t size) {
  auto* sink = static_cast<Sink*>(client);
  Status written = write_full(sink->fd, {static_cast<const std::uint8_t*>(data), size});
  if (written.ok()) return static_cast<la_ssize_t>(size);
  sink->error = std::move(written).error();
  archive_set_error(a, static_cast<int>(sink->error->cause), "%s", "Cannot write the archive");
  return -1;
}

Error changed_error(const std::string& path) {
  return Error{Code::failed,
               fmt::format("{} changed while it was read; stop what writes to the folder, or seal "
                           "a copy of it.",
                           quote_name(path)),
               0};
}

bool same_content(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

class TreeWriter {
 public:
  explicit TreeWriter(int output_fd) { sink_.fd = output_fd; }

  Status open();
  Status write_below(int folder_fd);
  Status close();
  TreeWarnings take_warnings() { return warnings_.take(); }

 private:
  struct Level {
    UniqueFd fd;
    std::string prefix;  // of the names: empty, or with a slash at its end
    std::vector<std::string> names;
    std::size_t next = 0;
  };

  Status enter(UniqueFd folder, const struct stat& info, const std::string& path);
  Status write_child(const Level& level, const std::string& name);
  Status write_file(const UniqueFd& file, const struct stat& info, const std::string& path);
  Status write_content(int fd, const std::vector<Piece>& pieces, const struct stat& info,
                       const std::string& path);
  Status write_zeros(std::uint64_t size);
  Status write_bytes(std::size_t size);
  Status write_symlink(const UniqueFd& link, const struct stat& info, const std::string& path);
  Status write_header(archive_entry* entry);
  Result<Entry> describe(int fd, bool readable, const struct stat& info, const std::string& path);
  // The first name of a file with several links, if this is another one.
  std::optional<std::string> linked_before(const struct stat& info, const std::string& path);
  Error archive_failed(const std::string& path);

  struct FirstLink {
    std::string path;
    nlink_t others = 0;
  };

  Sink sink_;
  Writer writer_;
  DiskReader disk_;
  WarningList warnings_;
  std::vector<Level> levels_;
  std::map<std::pair<dev_t, ino_t>, FirstLink> links_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kBlock);
  const std::vector<std::uint8_t> zeros_ = std::vector<std::uint8_t>(kBlock);
};

// Only what belongs to the content: two equal folders give equal bytes.
Entry make_entry(const struct stat& info, const std::string& path) {
  Entry entry(archive_entry_new());
  if (entry == nullptr) return entry;
  struct stat shown = {};
  shown.st_mode = info.st_mode;
  shown.st_uid = info.st_uid;
  shown.st_gid = info.st_gid;
  shown.st_nlink = 1;
  shown.st_size = S_ISREG(info.st_mode) ? info.st_size : 0;
  shown.st_mtim = info.st_mtim;
  archive_entry_copy_stat(entry.get(), &shown);
  archive_entry_unset_atime(entry.get());
  archive_entry_unset_ctime(entry.get());
  archive_entry_unset_birthtime(entry.get());
  archive_entry_copy_pathname(entry.get(), path.c_str());
  return entry;
}

// Joins what is less than `gap` apart.
void join_pieces(std::vector<Piece>& pieces, std::uint64_t gap) {
  std::size_t kept = 0;
  for (const Piece& piece : pieces) {
    if (kept > 0 && piece.begin - pieces[kept - 1].end < gap) {
      pieces[kept - 1].end = piece.end;
    } else {
      pieces[kept++] = piece;
    }
  }
  pieces.resize(kept);
}

// The parts of a file that are not holes, in order; the whole if the file system cannot tell.
std::vector<Piece> find_pieces(int fd, std::uint64_t size) {
  std::vector<Piece> whole = {{0, size}};
  std::vector<Piece> pieces;
  std::uint64_t at = 0;
  std::uint64_t gap = 4096;
  while (at < size) {
    while (pieces.size() >= kMaxPieces) join_pieces(pieces, gap *= 2);
    const off_t begin = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;  // a hole up to the end
    const off_t end = begin < 0 ? begin : lseek(fd, begin, SEEK_HOLE);
    if (end <= begin) return whole;
    pieces.push_back(
        {static_cast<std::uint64_t>(begin), std::min(static_cast<std::uint64_t>(end), size)});
    at = pieces.back().end;
    if (pieces.back().begin >= at) return whole;  // the file became shorter
  }
  return pieces;
}

void describe_pieces(archive_entry* entry, const std::vector<Piece>& pieces, std::uint64_t size) {
  if (size == 0) return;
  if (pieces.empty()) {  // nothing but a hole
    archive_entry_sparse_add_entry(entry, 0, 0);
    return;
  }
  if (pieces.front().begin == 0 && pieces.front().end == size) return;
  for (const Piece& piece : pieces) {
    archive_entry_sparse_add_entry(entry, static_cast<la_int64_t>(piece.begin),
                                   static_cast<la_int64_t>(piece.end - piece.begin));
  }
}

std::size_t size_of_attributes(archive_entry* entry) {
  std::size_t total = 0;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    total += std::string_view(name).size() + size;
  }
  return total;
}

Status TreeWriter::open() {
  writer_.reset(archive_write_new());
  disk_.reset(archive_read_disk_new());
  if (writer_ == nullptr || disk_ == nullptr) return system_error("Cannot make an archive", ENOMEM);
  // Bytes of names as they are, whatever the locale; attributes once, as other programs write them;
  // no padding behind the end marker.
  if (archive_write_set_format_pax(writer_.get()) != ARCHIVE_OK ||
      archive_write_set_format_option(writer_.get(), "pax", "hdrcharset", "BINARY") != ARCHIVE_OK ||
      archive_write_set_format_option(writer_.get(), "pax", "xattrheader", "SCHILY") !=
          ARCHIVE_OK ||
      archive_write_set_bytes_per_block(writer_.get(), static_cast<int>(kBlock)) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(writer_.get(), 1) != ARCHIVE_OK ||
      archive_write_open(writer_.get(), &sink_, nullptr, write_block, nullptr) != ARCHIVE_OK) {
    return archive_failed("the archive");
  }
  // File flags such as "immutable" would make what is unpacked impossible to remove.
  archive_read_disk_set_behavior(disk_.get(),
                                 ARCHIVE_READDISK_NO_FFLAGS | ARCHIVE_READDISK_NO_SPARSE);
  // The paths that it is given are those of descriptors.
  archive_read_disk_set_symlink_logical(disk_.get());
  return {};
}

Error TreeWriter::archive_failed(const std::string& path) {
  if (sink_.error.has_value()) return *sink_.error;
  const char* why = archive_error_string(writer_.get());
  return Error{Code::failed,
               fmt::format("Cannot put {} into the archive: {}; leave it out or rename it.",
                           quote_name(path), why == nullptr ? "libarchive does not say why" : why),
               0};
}

Status TreeWriter::write_header(archive_entry* entry) {
  const int result = archive_write_header(writer_.get(), entry);
  if (result == ARCHIVE_OK) return {};
  const char* path = archive_entry_pathname(entry);
  const std::string name = path == nullptr ? "" : path;
  if (result != ARCHIVE_WARN) return archive_failed(name);
  const char* why = archive_error_string(writer_.get());
  warnings_.add(fmt::format("{} is not stored as it is: {}.", quote_name(name),
                            why == nullptr ? "libarchive does not say why" : why));
  return {};
}

Result<Entry> TreeWriter::describe(int fd, bool readable, const struct stat& info,
                                   const std::string& path) {
  Entry entry = make_entry(info, path);
  if (entry == nullptr) return system_error("Cannot read a folder", ENOMEM);
  archive_entry_copy_sourcepath(entry.get(), descriptor_path(fd).c_str());
  struct stat shown = *archive_entry_stat(entry.get());
  const int result =
      archive_read_disk_entry_from_file(disk_.get(), entry.get(), readable ? fd : -1, &shown);
  // It has copied the times again.
  archive_entry_unset_atime(entry.get());
  archive_entry_unset_ctime(entry.get());
  archive_entry_unset_birthtime(entry.get());
  if (result != ARCHIVE_OK) {
    const char* why = archive_error_string(disk_.get());
    warnings_.add(fmt::format("Not all attributes of {} are stored: {}.", quote_name(path),
                              why == nullptr ? "libarchive does not say why" : why));
  }
  if (size_of_attributes(entry.get()) > kMaxAttributes) {
    return Error{Code::failed,
                 fmt::format("{} has more than {} KiB of extended attributes, which do not fit the "
                             "archive; remove some.",
                             quote_name(path), kMaxAttributes >> 10),
                 0};
  }
  return entry;
}

Status TreeWriter::enter(UniqueFd folder, const struct stat& info, const std::string& path) {
  if (levels_.size() > kMaxTreeDepth) {
    return Error{
        Code::failed,
        fmt::format("{} lies more than {} folders deep, which is too deep to unpack again; "
                    "move it up.",
                    quote_name(path), kMaxTreeDepth),
        0};
  }
  CKPTSEAL_ASSIGN(const Entry entry, describe(folder.get(), true, info, path));
  CKPTSEAL_TRY(write_header(entry.get()));
  CKPTSEAL_ASSIGN(auto names, list_names(folder.get(), quote_name(path)));
  std::string prefix = levels_.empty() ? "" : path + "/";
  levels_.push_back({std::move(folder), std::move(prefix), std::move(names), 0});
  return {};
}

Status TreeWriter::write_below(int folder_fd) {
  UniqueFd folder(openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info = {};
  if (!folder.valid() || fstat(folder.get(), &info) != 0) {
    return system_error("Cannot read the folder", errno);
  }
  CKPTSEAL_TRY(enter(std::move(folder), info, "."));
  while (!levels_.empty()) {
    if (levels_.back().next == levels_.back().names.size()) {
      levels_.pop_back();
      continue;
    }
    const std::size_t next = levels_.back().next++;
    CKPTSEAL_TRY(write_child(levels_.back(), levels_.back().names[next]));
  }
  return {};
}

Status TreeWriter::write_child(const Level& level, const std::string& name) {
  const std::string path = level.prefix + name;
  if (path.size() > kMaxTreePath) {
    return Error{Code::failed,
                 fmt::format("{} is longer than the {} bytes that can be unpacked again; shorten "
                             "the names of its folders.",
                             quote_name(path), kMaxTreePath),
                 0};
  }
  const UniqueFd found(openat(level.fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!found.valid() && errno == ENOENT) return changed_error(path);
  struct stat info = {};
  if (!found.valid() || fstat(found.get(), &info) != 0) {
    return system_error(fmt::format("Cannot read {}", quote_name(path)), errno);
  }
  if (S_ISLNK(info.st_mode)) return write_symlink(found, info, path);
  if (S_ISREG(info.st_mode)) return write_file(found, info, path);
  if (S_ISFIFO(info.st_mode)) {
    CKPTSEAL_ASSIGN(const Entry entry, describe(found.get(), false, info, path));
    return write_header(entry.get());
  }
  if (S_ISDIR(info.st_mode)) {
    UniqueFd folder(openat(found.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) {
      return system_error(fmt::format("Cannot read the folder {}", quote_name(path)), errno);
    }
    return enter(std::move(folder), info, path);  // `level` may move
  }
  warnings_.add(fmt::format("{} is left out: it is a {}.", quote_name(path),
                            S_ISSOCK(info.st_mode) ? "socket" : "device node"));
  return {};
}

std::optional<std::string> TreeWriter::linked_before(const struct stat& info,
                                                     const std::string& path) {
  if (info.st_nlink < 2) return std::nullopt;
  const auto [at, is_first] =
      links_.try_emplace({info.st_dev, info.st_ino}, FirstLink{path, info.st_nlink - 1});
  if (is_first) return std::nullopt;
  std::string first = at->second.path;
  if (--at->second.others == 0) links_.erase(at);
  return first;
}

Status TreeWriter::write_file(const UniqueFd& file, const struct stat& info,
                              const std::string& path) {
  if (const auto first = linked_before(info, path); first.has_value()) {
    const Entry entry = make_entry(info, path);
    if (entry == nullptr) return system_error("Cannot read a folder", ENOMEM);
    archive_entry_copy_hardlink(entry.get(), first->c_str());
    archive_entry_unset_size(entry.get());
    return write_header(entry.get());
  }
  CKPTSEAL_ASSIGN(const UniqueFd fd,
                  open_file(descriptor_path(file.get()), O_RDONLY, quote_name(path)));
  CKPTSEAL_ASSIGN(const Entry entry, describe(fd.get(), true, info, path));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const std::vector<Piece> pieces = find_pieces(fd.get(), size);
  describe_pieces(entry.get(), pieces, size);
  CKPTSEAL_TRY(write_header(entry.get()));
  CKPTSEAL_TRY(write_content(fd.get(), pieces, info, path));
  struct stat after = {};
  if (fstat(fd.get(), &after) != 0) {
    return system_error(fmt::format("Cannot read {}", quote_name(path)), errno);
  }
  if (!same_content(info, after)) return changed_error(path);
  return {};
}

// libarchive wants the holes too, and leaves them out.
Status TreeWriter::write_content(int fd, const std::vector<Piece>& pieces, const struct stat& info,
                                 const std::string& path) {
  std::uint64_t at = 0;
  for (const Piece& piece : pieces) {
    CKPTSEAL_TRY(write_zeros(piece.begin - at));
    for (at = piece.begin; at < piece.end;) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, piece.end - at));
      Result<std::size_t> got = pread_full(fd, MutableByteView(buffer_).first(size), at);
      if (!got.ok()) {
        const auto cause = static_cast<int>(got.error().cause);
        return system_error(fmt::format("Cannot read {}", quote_name(path)), cause);
      }
      if (got.value() != size) return changed_error(path);
      CKPTSEAL_TRY(write_bytes(size));
      at += size;
    }
  }
  return write_zeros(static_cast<std::uint64_t>(info.st_size) - at);
}

Status TreeWriter::write_zeros(std::uint64_t size) {
  while (size > 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, size));
    const la_ssize_t n = archive_write_data(writer_.get(), zeros_.data(), part);
    if (n <= 0) return archive_failed("a file");
    size -= static_cast<std::uint64_t>(n);
  }
  return {};
}

Status TreeWriter::write_bytes(std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const la_ssize_t n = archive_write_data(writer_.get(), buffer_.data() + done, size - done);
    if (n <= 0) return archive_failed("a file");
    done += static_cast<std::size_t>(n);
  }
  return {};
}

// Its extended attributes are left: no user can set one on a symbolic link.
Status TreeWriter::write_symlink(const UniqueFd& link, const struct stat& info,
                                 const std::string& path) {
  std::array<char, kMaxTreePath + 2> target{};
  const ssize_t length = readlinkat(link.get(), "", target.data(), target.size() - 1);
  if (length < 0) return system_error(fmt::format("Cannot read {}", quote_name(path)), errno);
  const Entry entry = make_entry(info, path);
  if (entry == nullptr) return system_error("Cannot read a folder", ENOMEM);
  archive_entry_copy_symlink(entry.get(), target.data());
  return write_header(entry.get());
}

Status TreeWriter::close() {
  if (archive_write_close(writer_.get()) != ARCHIVE_OK) return archive_failed("the end");
  return {};
}

}  // namespace

Result<TreeWarnings> write_tree(int folder_fd, int output_fd) {
  TreeWriter writer(output_fd);
  CKPTSEAL_TRY(writer.open());
  CKPTSEAL_TRY(writer.write_below(folder_fd));
  CKPTSEAL_TRY(writer.close());
  return writer.take_warnings();
}

}  // namespace ckptseal
