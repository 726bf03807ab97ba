// SPDX-License-Identifier: Apache-2.0
//
// Sealed checkpoints in memory, made and read through the interfaces of sealing/.
#pragma once

#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "doubles.h"
#include "sealing/file_writer.h"
#include "sealing/unlocked_file.h"

namespace ckptseal {

// What GoogleTest names a test with this parameter by.
inline void PrintTo(Suite suite, std::ostream* out) { *out << static_cast<int>(suite); }

}  // namespace ckptseal

namespace ckptseal::test {

inline constexpr Seconds sample_created = 1767225600;

// Bytes that do not repeat, the same for the same label.
Bytes pattern(const std::string& label, std::size_t size);

struct Sample {
  Suite suite = Suite::aes_256_gcm;
  Content content = Content::stream;
  unsigned chunk_log2 = smallest_chunk_log2;
  std::vector<std::pair<std::string, Bytes>> images = {{"stream", pattern("small", 5000)}};
  std::vector<std::string> words = {"alice"};  // of DoubleRecipients
  const DoubleOrigin* origin = nullptr;        // nullptr: unsigned
};

// Throws what fails: for tests in which it must not.
Bytes seal(const Sample& sample);
Status seal_to(const Sample& sample, int output_fd);

UniqueFd memory_file(ByteView content = {});
Bytes content_of(int fd);

struct ReadSettings {
  std::vector<TrustedOrigin> origins;
  std::vector<TrustedOrigin> adders;
  Seconds now = sample_created;
  bool allow_unsigned = false;
  std::vector<std::string> words = {"alice"};
};
ReadSettings trusting(const DoubleOrigin& origin);
ReadSettings unsigned_allowed();

struct Contents {
  std::map<std::string, Bytes> images;
  std::vector<std::string> warnings;
  std::string origin_name;
  std::size_t slot = 0;
};
// All of docs/format.md, "Reading".
Result<Contents> read_sealed(int fd, const ReadSettings& settings);
Result<Contents> read_sealed_with(int fd, const ReadSettings& settings,
                                  const Identities& identities);
Result<Contents> read_bytes(ByteView file, const ReadSettings& settings);

}  // namespace ckptseal::test
