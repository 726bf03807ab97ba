// SPDX-License-Identifier: Apache-2.0
//
// All files of tests/vectors, as vectors.json says what a reader makes of them: each look at a file
// goes through the job that the command line calls, and what opens is read once more, image by
// image. They were written by another program from docs/format.md alone.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "looks.h"

namespace ckptseal {
namespace {

using nlohmann::json;
const std::string folder = CKPTSEAL_VECTORS;

json all_looks() {
  std::ifstream in(folder + "/vectors.json");
  const json list = json::parse(in, nullptr, false);
  return list.is_array() ? list : json::array();
}

// The headings of the page.
std::vector<std::string> all_rules() {
  std::set<std::string> rules;
  for (const json& look : all_looks()) rules.insert(look.at("rule"));
  return {rules.begin(), rules.end()};
}

std::string name_of(const testing::TestParamInfo<std::string>& rule) {
  std::string out;
  for (const char c : rule.param) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) out += c;
  }
  return out;
}

// Read in this process, for the job does not tell the digests of images.
void expect_images(const json& look, int fd, const std::string& what) {
  const Result<test::Contents> contents = test::contents_of(look, fd);
  ASSERT_TRUE(contents.ok()) << what << ": " << contents.error().message;
  std::map<std::string, std::string> images;
  for (const auto& [name, bytes] : contents.value().images) {
    images[name] = to_hex(Sha256::of(bytes));
  }
  EXPECT_EQ(images, (look.at("images").get<std::map<std::string, std::string>>())) << what;
  EXPECT_EQ(contents.value().slot, look.at("slot").get<std::size_t>()) << what;
}

// What is the answer is not a warning, too, so that of a failure there may be none left.
void expect_as_written(const json& look) {
  const std::string path = folder + "/" + look.at("file").get<std::string>();
  const std::string what =
      look.at("file").get<std::string>() + ": " + look.at("what").get<std::string>();
  const UniqueFd fd = test::must(open_file(path, O_RDONLY, path));
  const test::Outcome outcome = test::do_as_wanted(look, fd.get());
  const int expected = look.at("exit").get<int>();
  const bool warned = !outcome.warnings.empty();
  if (!outcome.report.ok()) {
    EXPECT_EQ(static_cast<int>(outcome.report.error().code), expected)
        << what << " " << outcome.report.error().message;
    EXPECT_TRUE(look.at("warning").get<bool>() || !warned) << what << " " << outcome.warnings[0];
    EXPECT_TRUE(outcome.output.empty() || expected == 5) << what;
    return;
  }
  EXPECT_EQ(expected, 0) << what << " It was read.";
  EXPECT_EQ(warned, look.at("warning").get<bool>()) << what;
  if (expected == 0 && test::has_key(look)) expect_images(look, fd.get(), what);
}

class VectorsTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, VectorsTest, testing::ValuesIn(all_rules()), name_of);

TEST_P(VectorsTest, AreReadAsThePageSays) {
  for (const json& look : all_looks()) {
    if (look.at("rule") != GetParam()) continue;
    if (!look.at("hybrid_key").is_null()) continue;  // counted below
    expect_as_written(look);
    if (HasFatalFailure()) return;
  }
}

TEST(VectorListTest, ListsEveryFileAndIsNotEmpty) {
  std::set<std::string> listed;
  std::size_t with_hybrid_key = 0;
  for (const json& look : all_looks()) {
    listed.insert(look.at("file"));
    if (!look.at("hybrid_key").is_null()) ++with_hybrid_key;
  }
  std::printf("%zu looks with a hybrid key are left out, which nothing here reads yet.\n",
              with_hybrid_key);
  EXPECT_GE(listed.size(), 100U);
  std::set<std::string> there;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".cks") there.insert(entry.path().filename());
  }
  EXPECT_EQ(listed, there);
}

}  // namespace
}  // namespace ckptseal
