// SPDX-License-Identifier: Apache-2.0
//
// EFI images (PE/COFF): what firmware measures of one into PCR 4, and its sections. Microsoft, "PE
// Format", and "Windows Authenticode Portable Executable Signature Format", "Calculating the PE
// Image Hash". Only what can be read in one way is taken.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

struct PeSection {
  std::string name;   // at most 8 characters
  ByteView content;   // as in the file, without what only pads it there
  bool whole = true;  // false: in memory it is longer than in the file
};

class PeImage {
 public:
  static constexpr std::size_t largest = std::size_t{1} << 30;
  static constexpr std::size_t most_sections = 96;  // as the format says

  // Keeps views into `file`, which must live as long. Code::integrity when it is no PE image, its
  // parts overlap or leave gaps, or it is cut.
  static Result<PeImage> parse(ByteView file);

  // SHA-256 over the image without checksum and signatures: of a signed image the same before and
  // after. Of an unsigned one whose length is no multiple of 8 this is what OVMF measures; tools
  // that sign fill it up first.
  Digest authenticode() const;
  const std::vector<PeSection>& sections() const { return sections_; }
  // The only one of that name; nullptr if there is none or a second one.
  const PeSection* find(std::string_view name) const;
  // How many have that name.
  std::size_t count(std::string_view name) const;

 private:
  std::vector<ByteView> measured_;
  std::vector<PeSection> sections_;
};

}  // namespace ckptseal
