// SPDX-License-Identifier: Apache-2.0
#include "cli/sealing/key_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/fd.h"
#include "cli/host_access.h"

namespace ckptseal {
namespace {

constexpr std::size_t largest_file = 1 << 20;
constexpr std::size_t largest_list = 64 << 20;  // of what an authority has revoked in years

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string first_line(std::string_view label) { return fmt::format("-----BEGIN {}-----", label); }

Result<std::optional<NamedKey>> read_named_certificate(ByteView file, const std::string& path,
                                                       const ChainInputs* chain) {
  const std::string what = fmt::format("The certificate {}", path);
  CKPTSEAL_ASSIGN(Certificate certificate, read_certificate(file, now_seconds(), what));
  if (chain != nullptr) CKPTSEAL_TRY(check_chain(certificate, *chain, now_seconds(), what));
  RecipientName name = certificate.name();
  return std::optional<NamedKey>(NamedKey{std::move(certificate.key), std::move(name)});
}

Result<std::optional<NamedKey>> read_hybrid_key(ByteView file, const std::string& path,
                                                const ChainInputs* chain) {
  if (chain != nullptr) return nobody_vouches(path);
  CKPTSEAL_ASSIGN(HybridPublicKey key,
                  HybridPublicKey::from_file(file, fmt::format("The public key {}", path)));
  RecipientName name{KeySource::public_key, {}, file_name(path)};
  return std::optional<NamedKey>(NamedKey{std::move(key), std::move(name)});
}

Result<Bytes> read_all_pem(const std::vector<std::string>& paths) {
  Bytes out;
  for (const std::string& path : paths) {
    CKPTSEAL_ASSIGN(const Bytes file, read_file(path, largest_list, path));
    out.insert(out.end(), file.begin(), file.end());
    out.push_back('\n');  // the next one's first line is a line
  }
  return out;
}

}  // namespace

bool names_file(const std::string& name) {
  constexpr std::string_view endings[] = {".record", ".pem", ".crt", ".cer", ".der", ".pub"};
  return name.find('/') != std::string::npos ||
         std::any_of(std::begin(endings), std::end(endings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

Error nobody_vouches(const std::string& name) {
  return {Code::usage,
          fmt::format("{} is a key for which no issuer vouches, as --ca demands: name a file with "
                      "its certificate, or leave --ca out.",
                      name),
          0};
}

const KeyId& NamedKey::id() const {
  return std::visit([](const auto& of) -> const KeyId& { return of.id(); }, key);
}

SlotKind NamedKey::kind() const {
  return std::holds_alternative<HybridPublicKey>(key) ? SlotKind::hybrid : SlotKind::public_key;
}

std::unique_ptr<Recipient> NamedKey::recipient() const {
  if (const auto* hybrid = std::get_if<HybridPublicKey>(&key)) {
    return std::make_unique<HybridRecipient>(*hybrid, name.label);
  }
  return std::make_unique<PublicKeyRecipient>(std::get<PublicKey>(key), name);
}

Result<std::optional<NamedKey>> read_key_file(const std::string& path, const ChainInputs* chain) {
  CKPTSEAL_ASSIGN(const Bytes file, read_file(path, largest_file, path));
  const std::string_view text = as_text(file);
  const auto has = [&](std::string_view words) {
    return text.find(words) != std::string_view::npos;
  };
  if (has("-----BEGIN CERTIFICATE-----")) return read_named_certificate(file, path, chain);
  if (has("-----BEGIN PUBLIC KEY-----")) {
    if (chain != nullptr) return nobody_vouches(path);
    CKPTSEAL_ASSIGN(PublicKey key,
                    PublicKey::from_file(file, fmt::format("The public key {}", path)));
    RecipientName name{KeySource::public_key, {}, file_name(path)};
    return std::optional<NamedKey>(NamedKey{std::move(key), std::move(name)});
  }
  if (has(first_line(hybrid_public_label))) return read_hybrid_key(file, path, chain);
  if (has(first_line(hybrid_private_label))) {
    return Error{Code::usage,
                 fmt::format("{} is a private key, and a recipient is named by the public one: "
                             "name the file that keygen printed or wrote beside it.",
                             path),
                 0};
  }
  if (has("-----BEGIN ") || path.ends_with(".record")) return std::optional<NamedKey>();
  return read_named_certificate(file, path, chain);
}

// All authorities of --ca go among the anchors: a chain ends only at one that has signed itself, so
// those between are trusted for nothing by themselves.
Result<std::optional<ChainInputs>> chain_of(const IssuerOptions& issuers) {
  if (issuers.ca.empty() && issuers.crl.empty()) return std::optional<ChainInputs>();
  if (issuers.ca.empty()) {
    return Error{Code::usage,
                 "--crl says what the issuers of certificates have revoked; name these with --ca "
                 "as well.",
                 0};
  }
  ChainInputs out;
  CKPTSEAL_ASSIGN(out.anchors, read_all_pem(issuers.ca));
  if (!issuers.crl.empty()) {
    CKPTSEAL_ASSIGN(out.crls, read_all_pem(issuers.crl));
  }
  return std::optional<ChainInputs>(std::move(out));
}

}  // namespace ckptseal
