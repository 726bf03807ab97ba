// SPDX-License-Identifier: Apache-2.0
//
// A signature as it stands in a file: algorithm, length, bytes, so that one of an algorithm to come
// can be told apart from what follows it. docs/format.md, "Signatures".
#pragma once

#include <optional>

#include "hosts/trust.h"

namespace ckptseal {

class FileSignature {
 public:
  FileSignature() = default;  // none
  explicit FileSignature(const EcdsaSignature& signature);

  bool is_none() const { return algorithm_ == 0; }
  // Whether one of the host's keys, in a record that had not expired at `when`, made it of
  // `digest`. false for an algorithm that this version does not know.
  bool is_of(const TrustedOrigin& host, const Digest& digest, Seconds when) const;

  std::size_t size() const { return 4 + bytes_.size(); }  // in the file
  void write(ByteWriter& out) const;
  // nullopt when the length is not one of the algorithm, or the bytes end before it.
  static std::optional<FileSignature> read(ByteReader& in);

  bool operator==(const FileSignature&) const = default;

 private:
  std::uint16_t algorithm_ = 0;
  Bytes bytes_;
};

}  // namespace ckptseal
