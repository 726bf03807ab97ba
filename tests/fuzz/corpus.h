// SPDX-License-Identifier: Apache-2.0
//
// The folder that make_corpus fills: one below it for each fuzz target.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/crypto.h"
#include "base/output_file.h"

namespace ckptseal::fuzz {

class Corpus {
 public:
  static constexpr std::size_t largest_input = 20000;

  explicit Corpus(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Inputs are named by their content, so that equal ones are there once.
  void add(const std::string& target, ByteView input) const {
    if (input.size() > largest_input) return;
    std::filesystem::create_directories(folder_ / target);
    const std::string name = to_hex(ByteView(Sha256::of(input)).first(8));
    const Status written =
        write_file((folder_ / target / name).string(), input, 0644, OutputFile::Replace::allowed);
    if (!written.ok()) throw std::runtime_error(written.error().message);
  }

 private:
  std::filesystem::path folder_;
};

// Parts of the sealed checkpoints in a folder, and how many there are.
std::size_t add_vectors(const Corpus& corpus, const std::filesystem::path& folder);
// Event logs, EFI images, and what is said of PCRs.
void add_boots(const Corpus& corpus);

}  // namespace ckptseal::fuzz
