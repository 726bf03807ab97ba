// SPDX-License-Identifier: Apache-2.0
//
// From JSON to identities, trust and the job that the command line calls. What is missing in the
// JSON, or of another kind, is a mistake of whoever wrote it, and throws.
#include "looks.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "keymgr/passphrase/passphrase.h"
#include "keymgr/public_key/hybrid_key.h"
#include "keymgr/public_key/private_key.h"
#include "keymgr/public_key/secret_pem.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/threshold.h"
#include "software_parent.h"

namespace ckptseal::test {
namespace {

using nlohmann::json;

template <std::size_t N>
ByteArray<N> hex_of(const json& text) {
  const std::optional<Bytes> bytes = from_hex(text.get<std::string>());
  if (!bytes || bytes->size() != N) throw std::runtime_error("not so many hexadecimal digits");
  ByteArray<N> out{};
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

// One entry a key: those of one host stand together.
std::vector<TrustedOrigin> hosts_of(const json& list) {
  std::vector<TrustedOrigin> out;
  for (const json& key : list) {
    const Digest identity = hex_of<32>(key.at("identity"));
    auto host = std::find_if(out.begin(), out.end(), [&](const TrustedOrigin& known) {
      return known.identity == identity;
    });
    if (host == out.end()) host = out.insert(out.end(), {identity, "host", {}});
    host->keys.push_back({EcPoint{hex_of<32>(key.at("x")), hex_of<32>(key.at("y"))},
                          key.at("expires").get<Seconds>()});
  }
  return out;
}

Secret secret_of(ByteView bytes) { return must(Secret::copy_of(bytes)); }

std::unique_ptr<Identity> tpm_of(const json& look) {
  std::optional<Secret> pin;
  if (const json& text = look.at("pin"); !text.is_null()) {
    pin = secret_of(as_bytes(text.get<std::string>()));
  }
  return std::make_unique<SoftwareParentIdentity>(secret_of(hex_of<32>(look.at("parent_scalar"))),
                                                  std::move(pin));
}

std::unique_ptr<Identity> hybrid_of(const json& key) {
  const Secret pem =
      must(secret_pem_encode(std::string(hybrid_private_label), secret_of(hex_of<96>(key))));
  return std::make_unique<HybridIdentity>(must(HybridIdentity::from_file(pem, "A vector's key")));
}

// In the order of the command line. `warn` is for shares.
Identities identities_of(const json& look, const SkipWarning& warn) {
  Identities out;
  if (!look.at("parent_scalar").is_null()) out.push_back(tpm_of(look));
  if (const json& key = look.at("private_key"); !key.is_null()) {
    const Bytes pkcs8 = *from_hex(key.get<std::string>());
    out.push_back(std::make_unique<PublicKeyIdentity>(
        must(read_private_key(secret_of(pkcs8), nullptr, "A vector's key"))));
  }
  if (const json& key = look.at("hybrid_key"); !key.is_null()) out.push_back(hybrid_of(key));
  if (const json& key = look.at("recovery_key"); !key.is_null()) {
    out.push_back(std::make_unique<RecoveryIdentity>(secret_of(hex_of<16>(key))));
  }
  if (const json& passphrase = look.at("passphrase"); !passphrase.is_null()) {
    out.push_back(
        std::make_unique<PassphraseIdentity>(secret_of(as_bytes(passphrase.get<std::string>())),
                                             look.at("max_memory_kib").get<std::uint32_t>()));
  }
  std::vector<Identity*> all;
  for (const auto& identity : out) all.push_back(identity.get());
  out.push_back(std::make_unique<ThresholdIdentity>(std::move(all), warn));
  return out;
}

ReadJob job_for(const json& look, int fd) {
  ReadJob job;
  job.sealed_fd = fd;
  job.origins = hosts_of(look.at("trusted"));
  job.allow_unsigned = look.at("allow_unsigned").get<bool>();
  const auto now = look.at("now").get<Seconds>();
  job.check_time = [now](std::uint64_t not_after) {
    return now < not_after ? Status() : Status(Error{Code::revoked, "its time is over", 0});
  };
  // Who opens has identities, if only those that open nothing.
  if (!has_key(look) && look.at("wanted_operation") == "verify") return job;
  job.identities = [&look](HelperChannel& channel) -> Result<Identities> {
    return identities_of(look,
                         [&channel](const std::string& sentence) { (void)channel.warn(sentence); });
  };
  return job;
}

}  // namespace

bool has_key(const json& look) {
  constexpr std::array keys = {"passphrase", "parent_scalar", "private_key", "hybrid_key",
                               "recovery_key"};
  return std::any_of(keys.begin(), keys.end(),
                     [&](const char* key) { return !look.at(key).is_null(); });
}

Outcome do_as_wanted(const json& look, int fd) {
  Outcome out{HelperReport(), {}, {}};
  HelperEvents events;
  events.warning = [&](const std::string& clause) { out.warnings.push_back(clause); };
  const ReadJob job = job_for(look, fd);
  if (look.at("wanted_operation") == "verify") {
    out.report = verify_in_helper(job, false, events);
    return out;
  }
  const Result<SealedFile> file = SealedFile::open(fd);
  const Content content = file.ok() ? file.value().immutable().content : Content::stream;
  const UniqueFd output = memory_file();
  out.report = open_in_helper(job, content, output.get(), events);
  out.output = content_of(output.get());
  return out;
}

Result<Contents> contents_of(const json& look, int fd) {
  ReadSettings settings;
  settings.origins = hosts_of(look.at("trusted"));
  settings.allow_unsigned = look.at("allow_unsigned").get<bool>();
  return read_sealed_with(fd, settings, identities_of(look, {}));
}

}  // namespace ckptseal::test
