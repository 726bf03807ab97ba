// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target once on each file of its corpus, where there is no libFuzzer.
#include <cstdio>
#include <filesystem>

#include "base/fd.h"
#include "fuzz.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "Usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  std::size_t count = 0;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], none)) {
    const auto content =
        ckptseal::read_file(entry.path().string(), std::size_t{1} << 20, entry.path().string());
    if (!content.ok()) {
      std::fprintf(stderr, "%s\n", content.error().message.c_str());
      return 1;
    }
    std::printf("%s\n", entry.path().filename().c_str());
    std::fflush(stdout);  // the last name is that of the crash
    (void)LLVMFuzzerTestOneInput(content.value().data(), content.value().size());
    ++count;
  }
  if (count == 0) {
    std::fprintf(stderr, "The corpus %s is empty or not there.\n", argv[1]);
    return 1;
  }
  return 0;
}
