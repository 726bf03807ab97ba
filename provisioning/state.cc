// SPDX-License-Identifier: Apache-2.0
//
// Every file goes through base/private_files.h on its way in and appears whole on its way out.
#include "provisioning/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/output_file.h"
#include "base/private_files.h"

namespace ckptseal {
namespace {

constexpr std::size_t longest_tcti = 1024;
constexpr std::size_t longest_uri = 4096;
constexpr std::size_t largest_keys_file = 65536;

std::string described(const std::string& folder) {
  return fmt::format("the state folder {}", folder);
}

Result<std::optional<Bytes>> read_if_there(const std::string& path, std::size_t limit) {
  Result<Bytes> content = read_private_file(path, limit, path);
  if (content.ok()) return std::optional<Bytes>(std::move(content).value());
  if (content.error().cause == ENOENT) return std::optional<Bytes>();
  return std::move(content).error();
}

Error not_provisioned(const State& state) {
  return {Code::failed,
          fmt::format("This host is not provisioned: there is no {}; run ckpt-seal provision, or "
                      "name another state folder with --state.",
                      state.record_path()),
          ENOENT};
}

bool printable_word(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool valid_tcti(std::string_view text) {
  return text.size() <= longest_tcti && printable_word(text);
}

bool valid_uri(std::string_view text) { return text.size() <= longest_uri && printable_word(text); }

}  // namespace

Status State::create() const {
  CKPTSEAL_TRY(make_private_folder(folder_, Guard::no_access, described(folder_)));
  CKPTSEAL_TRY(make_private_folder(tpm_folder(), Guard::no_access, described(tpm_folder())));
  return {};
}

Status State::check() const {
  for (const std::string& folder : {folder_, tpm_folder()}) {
    const Result<UniqueFd> opened =
        open_private_folder(folder, Guard::no_access, described(folder));
    if (opened.ok()) continue;
    if (opened.error().cause == ENOENT) return not_provisioned(*this);
    return opened.error();
  }
  return {};
}

Result<std::optional<std::string>> State::tcti() const {
  CKPTSEAL_ASSIGN(const std::optional<Bytes> content, read_if_there(tcti_path(), longest_tcti + 1));
  if (!content.has_value()) return std::optional<std::string>();
  std::string text(as_text(*content));
  const bool whole = text.ends_with('\n');
  if (whole) text.pop_back();
  if (!whole || !valid_tcti(text)) {
    return Error{Code::integrity,
                 fmt::format("{} does not name a TPM in one line: it was altered; run ckpt-seal "
                             "provision with --tpm to write it again.",
                             tcti_path()),
                 0};
  }
  return std::optional<std::string>(std::move(text));
}

Result<std::optional<TpmKeys>> State::keys() const {
  CKPTSEAL_ASSIGN(const std::optional<Bytes> content,
                  read_if_there(keys_path(), largest_keys_file));
  if (!content.has_value()) return std::optional<TpmKeys>();
  CKPTSEAL_ASSIGN(TpmKeys keys, TpmKeys::parse(*content));
  return std::optional<TpmKeys>(std::move(keys));
}

Result<std::optional<HostTokenState>> State::token() const {
  constexpr std::size_t id_line = 2 * HostTokenId().size() + 1;
  CKPTSEAL_ASSIGN(const std::optional<Bytes> content,
                  read_if_there(token_path(), longest_uri + 1 + id_line));
  if (!content.has_value()) return std::optional<HostTokenState>();
  const std::string_view text = as_text(*content);
  HostTokenState out;
  out.uri = text.substr(0, text.find('\n'));
  const std::string_view rest = text.substr(std::min(out.uri.size() + 1, text.size()));
  const std::optional<Bytes> id =
      rest.ends_with('\n') ? from_hex(rest.substr(0, rest.size() - 1)) : std::nullopt;
  if (!valid_uri(out.uri) || !id || id->size() != out.id.size()) {
    return Error{Code::integrity,
                 fmt::format("{} does not say which token is this host's: it was altered; put back "
                             "a copy of it.",
                             token_path()),
                 0};
  }
  std::copy(id->begin(), id->end(), out.id.begin());
  return std::optional<HostTokenState>(std::move(out));
}

Status State::write_token(const HostTokenState& token) const {
  if (!valid_uri(token.uri)) {
    return Error{
        Code::usage,
        "What --hsm says has spaces or other characters that cannot be in it, or is longer "
        "than 4096; write a URI, with %XX for other characters.",
        0};
  }
  return write_file(token_path(), as_bytes(fmt::format("{}\n{}\n", token.uri, to_hex(token.id))),
                    0600, OutputFile::Replace::allowed);
}

Result<std::optional<SignedHostRecord>> State::record() const {
  CKPTSEAL_ASSIGN(const std::optional<Bytes> content,
                  read_if_there(record_path(), largest_record_file));
  if (!content.has_value()) return std::optional<SignedHostRecord>();
  CKPTSEAL_ASSIGN(SignedHostRecord record,
                  read_host_record_of_any_time(
                      *content, fmt::format("This host's own record {}", record_path())));
  return std::optional<SignedHostRecord>(std::move(record));
}

Status State::write_tcti(const std::string& tcti) const {
  if (!valid_tcti(tcti)) {
    return Error{Code::usage,
                 "What --tpm says has spaces or other characters that cannot be in it; write for "
                 "example soft or device:/dev/tpmrm0.",
                 0};
  }
  return write_file(tcti_path(), as_bytes(tcti + "\n"), 0600, OutputFile::Replace::allowed);
}

Status State::write_keys(const TpmKeys& keys) const {
  return write_file(keys_path(), keys.serialize(), 0600, OutputFile::Replace::allowed);
}

Status State::write_record(const SignedHostRecord& record) const {
  return write_file(record_path(), as_bytes(record.pem()), 0600, OutputFile::Replace::allowed);
}

Result<SignedHostRecord> verify_own_record(const State& state) {
  CKPTSEAL_TRY(state.check());
  CKPTSEAL_ASSIGN(std::optional<SignedHostRecord> own, state.record());
  CKPTSEAL_ASSIGN(const std::optional<HostTokenState> token, state.token());
  if (own.has_value() && token.has_value()) {
    if (own->record().token) return *std::move(own);
    return Error{Code::integrity,
                 fmt::format("{} is a record of a TPM and {} names a token: one of them is another "
                             "host's; move the wrong one away.",
                             state.record_path(), state.token_path()),
                 0};
  }
  CKPTSEAL_ASSIGN(const std::optional<TpmKeys> keys, state.keys());
  if (!own.has_value() || !keys.has_value()) return not_provisioned(state);
  const HostRecord& record = own->record();
  if (record.token || record.attestation_key.name() != keys->attestation_key.public_area.name() ||
      record.storage_parent.public_area.name() != keys->storage_parent.public_area.name() ||
      record.signing_keys.front().public_area.name() != keys->signing_key.public_area.name()) {
    return Error{Code::integrity,
                 fmt::format("{} is not a record of the keys in {}: one of them is another host's; "
                             "run ckpt-seal provision again.",
                             state.record_path(), state.keys_path()),
                 0};
  }
  return *std::move(own);
}

}  // namespace ckptseal
