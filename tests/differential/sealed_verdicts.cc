// SPDX-License-Identifier: Apache-2.0
//
// Says what our reader makes of sealed files: a line of JSON in, a look as in
// tests/vectors/vectors.json whose `file` is a path; a line of JSON out. Files may be anything. The
// first line, before any is asked for, says what this build can open.
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>

#include "keymgr/public_key/hybrid_key.h"
#include "looks.h"

namespace ckptseal {
namespace {

using nlohmann::json;

json images_of(const test::Contents& contents) {
  json out = json::object();
  for (const auto& [name, bytes] : contents.images) out[name] = to_hex(Sha256::of(bytes));
  return out;
}

// What was opened is read once more, in this process: the job does not tell the images.
void add_content(const json& look, int fd, const test::Outcome& outcome, json& verdict) {
  verdict["slot"] = outcome.report.value().opened_slot();
  const Result<test::Contents> contents = test::contents_of(look, fd);
  if (!contents.ok()) {
    verdict["message"] = "read once more: " + contents.error().message;
    return;
  }
  verdict["images"] = images_of(contents.value());
  if (look.at("wanted_operation") != "extract") return;
  Bytes all;
  for (const auto& [name, bytes] : contents.value().images) {
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  // With several images the order in the output is that of their numbers, not of their names.
  const bool same = contents.value().images.size() == 1 ? all == outcome.output
                                                        : all.size() == outcome.output.size();
  if (!same) verdict["message"] = "the output is not what the images are";
}

json verdict_on(const json& look) {
  const std::string path = look.at("file").get<std::string>();
  const UniqueFd fd = test::must(open_file(path, O_RDONLY, path));
  const test::Outcome outcome = test::do_as_wanted(look, fd.get());
  json verdict = {{"exit", 0},
                  {"slot", nullptr},
                  {"images", json::object()},
                  {"warning", !outcome.warnings.empty()},
                  {"warnings", outcome.warnings},
                  {"given_out", outcome.output.size()},
                  {"message", nullptr}};
  if (!outcome.report.ok()) {
    verdict["exit"] = static_cast<int>(outcome.report.error().code);
    verdict["message"] = outcome.report.error().message;
  } else if (test::has_key(look)) {
    add_content(look, fd.get(), outcome, verdict);
  }
  return verdict;
}

void answer(const json& line) { std::cout << line.dump() << std::endl; }

int run() {
  answer({{"hybrid", has_ml_kem()}});
  for (std::string line; std::getline(std::cin, line);) answer(verdict_on(json::parse(line)));
  return 0;
}

}  // namespace
}  // namespace ckptseal

int main() {
  try {
    return ckptseal::run();
  } catch (const std::exception& bug) {
    std::fprintf(stderr, "sealed_verdicts: %s\n", bug.what());
    return 1;
  }
}
