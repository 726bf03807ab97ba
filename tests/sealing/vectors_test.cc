// SPDX-License-Identifier: Apache-2.0
//
// All files of tests/vectors, as vectors.json says what a reader makes of them: one test for each
// look at a file. They were written by another program from docs/format.md alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "keymgr/passphrase/passphrase.h"
#include "keymgr/public_key/private_key.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/threshold.h"
#include "sample.h"
#include "software_parent.h"

namespace ckptseal {
namespace {

using nlohmann::json;
const std::string folder = CKPTSEAL_VECTORS;

// One look at one file.
struct Look {
  json value;
};
void PrintTo(const Look& look, std::ostream* out) { *out << look.value.at("rule"); }

std::vector<Look> all_vectors() {
  std::ifstream in(folder + "/vectors.json");
  const json list = json::parse(in, nullptr, false);
  std::vector<Look> out;
  if (!list.is_array()) return out;
  for (const json& entry : list) out.push_back({entry});
  return out;
}

// A file has several entries when it is looked at in several ways.
std::string name_of(const testing::TestParamInfo<Look>& vector) {
  std::string name = vector.param.value.at("file").get<std::string>();
  name.resize(name.size() - 4);
  return name + "_" + std::to_string(vector.index);
}

template <std::size_t N>
ByteArray<N> hex_of(const json& text) {
  const std::optional<Bytes> bytes = from_hex(text.get<std::string>());
  if (!bytes || bytes->size() != N) throw std::runtime_error("not so many hexadecimal digits");
  ByteArray<N> out{};
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

std::vector<TrustedOrigin> hosts_of(const json& list) {
  std::vector<TrustedOrigin> out;
  for (const json& host : list) {
    TrustedOrigin origin;
    origin.identity = hex_of<32>(host.at("fingerprint"));
    origin.name = "host";
    origin.keys = {{EcPoint{hex_of<32>(host.at("x")), hex_of<32>(host.at("y"))}}};
    out.push_back(std::move(origin));
  }
  return out;
}

test::Identities identities_of(const json& vector) {
  test::Identities out;
  if (const json& scalar = vector.at("parent_scalar"); !scalar.is_null()) {
    std::optional<Secret> pin;
    if (const json& text = vector.at("pin"); !text.is_null()) {
      pin = Secret::copy_of(as_bytes(text.get<std::string>())).value();
    }
    out.push_back(std::make_unique<test::SoftwareParentIdentity>(
        std::move(Secret::copy_of(hex_of<32>(scalar))).value(), std::move(pin)));
  }
  if (const json& passphrase = vector.at("passphrase"); !passphrase.is_null()) {
    out.push_back(std::make_unique<PassphraseIdentity>(
        std::move(Secret::copy_of(as_bytes(passphrase.get<std::string>()))).value(), 1 << 20));
  }
  if (const json& key = vector.at("private_key"); !key.is_null()) {
    const Bytes pkcs8 = *from_hex(key.get<std::string>());
    out.push_back(std::make_unique<PublicKeyIdentity>(
        read_private_key(Secret::copy_of(pkcs8).value(), nullptr, "A vector's key").value()));
  }
  if (const json& key = vector.at("recovery_key"); !key.is_null()) {
    out.push_back(std::make_unique<RecoveryIdentity>(Secret::copy_of(hex_of<16>(key)).value()));
  }
  std::vector<Identity*> all;
  for (const auto& identity : out) all.push_back(identity.get());
  if (!all.empty()) out.push_back(std::make_unique<ThresholdIdentity>(std::move(all)));
  return out;
}

// What `verify` (also without a key) and extraction make of it: the exit code, and what was read.
Result<test::Contents> read_as(int fd, const json& vector) {
  test::ReadSettings settings;
  settings.origins = hosts_of(vector.at("trusted_origins"));
  settings.adders = hosts_of(vector.at("trusted_adders"));
  settings.allow_unsigned = vector.at("allow_unsigned").get<bool>();
  const test::Identities identities = identities_of(vector);
  const bool verify = vector.at("wanted_operation") == "verify";
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(fd));
  CKPTSEAL_TRY(file.verify_origin(settings.origins, settings.allow_unsigned));
  // As verify_in_helper(): a spare copy that is damaged or differs is damage to it.
  if (verify && identities.empty()) {
    test::Contents contents;
    contents.warnings = file.warnings();
    return contents;
  }
  return read_sealed_with(fd, settings, identities);
}

class VectorTest : public testing::TestWithParam<Look> {};
INSTANTIATE_TEST_SUITE_P(All, VectorTest, testing::ValuesIn(all_vectors()), name_of);

TEST_P(VectorTest, IsReadAsTheSpecificationSays) {
  const json& vector = GetParam().value;
  const std::string path = folder + "/" + vector.at("file").get<std::string>();
  SCOPED_TRACE(vector.at("what").get<std::string>());
  const Result<UniqueFd> fd = open_file(path, O_RDONLY, path);
  ASSERT_TRUE(fd.ok()) << fd.error().message;
  const int expected = vector.at("exit").get<int>();
  const Result<test::Contents> contents = read_as(fd.value().get(), vector);
  if (!contents.ok()) {
    EXPECT_EQ(static_cast<int>(contents.error().code), expected) << contents.error().message;
    return;
  }
  const bool warned = !contents.value().warnings.empty();
  if (vector.at("warning").get<bool>() && vector.at("wanted_operation") == "verify") {
    EXPECT_TRUE(warned) << "verify goes by this";
    if (expected == 5) return;
  }
  EXPECT_EQ(expected, 0) << "it was read";
  EXPECT_EQ(warned, vector.at("warning").get<bool>());
  std::map<std::string, std::string> images;
  for (const auto& [name, bytes] : contents.value().images) {
    images[name] = to_hex(Sha256::of(bytes));
  }
  std::map<std::string, std::string> wanted;
  if (!identities_of(vector).empty()) wanted = vector.at("images");
  EXPECT_EQ(images, wanted);
}

TEST(VectorListTest, ListsEveryFileAndIsNotEmpty) {
  std::set<std::string> listed;
  for (const Look& look : all_vectors()) listed.insert(look.value.at("file"));
  EXPECT_GE(listed.size(), 100U);
  std::set<std::string> there;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".cks") there.insert(entry.path().filename());
  }
  EXPECT_EQ(listed, there);
}

}  // namespace
}  // namespace ckptseal
