// SPDX-License-Identifier: Apache-2.0
//
// File names are a hint for finding a record quickly; what is believed is what stands in the file.
#include "hosts/trust_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "base/output_file.h"
#include "base/private_files.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".record";
constexpr std::size_t start_digits = 16;

std::string start_of(const Digest& fingerprint) {
  return to_hex(fingerprint).substr(0, start_digits);
}

// nullopt for a file that is not named as ours are.
std::optional<TrustFile> parse_file_name(const std::string& folder, const std::string& file) {
  std::string_view rest = file;
  if (!rest.ends_with(suffix)) return std::nullopt;
  rest.remove_suffix(suffix.size());
  if (rest.size() < start_digits + 2) return std::nullopt;
  const std::string_view digits = rest.substr(rest.size() - start_digits);
  rest.remove_suffix(start_digits);
  const std::optional<Bytes> start = from_hex(digits);
  if (!start.has_value() || to_hex(*start) != digits || rest.back() != '-') return std::nullopt;
  rest.remove_suffix(1);
  if (!check_host_name(rest).ok()) return std::nullopt;
  return TrustFile{folder + "/" + file, std::string(rest), std::string(digits)};
}

std::string described(const std::string& folder) {
  return fmt::format("the folder of trusted records {}", folder);
}

}  // namespace

Result<std::vector<TrustFile>> TrustFolder::files() const {
  // Whoever may write to the folder above could exchange the folders of the two roles.
  for (const std::string& folder : {fs::path(path_).parent_path().string(), path_}) {
    const Result<UniqueFd> opened =
        open_private_folder(folder, Guard::no_writing, described(folder));
    if (opened.ok()) continue;
    if (opened.error().cause == ENOENT) return std::vector<TrustFile>{};
    return opened.error();
  }
  CKPTSEAL_ASSIGN(const std::vector<std::string> names, list_folder(path_, described(path_)));
  std::vector<TrustFile> out;
  for (const std::string& name : names) {
    if (std::optional<TrustFile> file = parse_file_name(path_, name)) {
      out.push_back(*std::move(file));
    }
  }
  return out;
}

Result<std::vector<TrustFile>> TrustFolder::files_of(std::string_view name) const {
  CKPTSEAL_ASSIGN(std::vector<TrustFile> all, files());
  std::erase_if(all, [&](const TrustFile& file) { return file.name != name; });
  return all;
}

Result<SignedHostRecord> TrustFolder::load(const TrustFile& file) {
  CKPTSEAL_ASSIGN(const Bytes pem,
                  read_private_file(file.path, largest_record_file,
                                    fmt::format("the trusted record {}", file.path)));
  const std::string what = fmt::format("The trusted record {}", file.path);
  CKPTSEAL_ASSIGN(SignedHostRecord record, read_host_record_of_any_time(pem, what));
  if (record.record().name != file.name ||
      start_of(record.fingerprint()) != file.fingerprint_start) {
    return Error{
        Code::integrity,
        fmt::format("{} is refused: its name does not fit what is in it; remove it and add "
                    "the record again with ckpt-seal host trust.",
                    what),
        0};
  }
  return record;
}

std::string TrustFolder::path_for(const SignedHostRecord& record) const {
  return fmt::format("{}/{}-{}{}", path_, record.record().name, start_of(record.fingerprint()),
                     suffix);
}

Status TrustFolder::write(const SignedHostRecord& record) const {
  CKPTSEAL_TRY(make_private_folder(path_, Guard::no_writing, described(path_)));
  return write_file(path_for(record), as_bytes(record.pem()), 0600, OutputFile::Replace::allowed);
}

}  // namespace ckptseal
