// SPDX-License-Identifier: Apache-2.0
//
// Sealed checkpoints in memory, made and read through the interfaces of sealing/.
#pragma once

#include <map>
#include <optional>
#include <ostream>
#include <stdexcept>
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

// Bytes that do not repeat, the same for the same label.
Bytes pattern(const std::string& label, std::size_t size);

struct Sample {
  Suite suite = Suite::aes_256_gcm;
  Content content = Content::stream;
  unsigned chunk_log2 = smallest_chunk_log2;
  std::vector<std::pair<std::string, Bytes>> images = {{"stream", pattern("small", 5000)}};
  std::vector<std::string> words = {"alice"};  // of DoubleRecipients
  const DoubleOrigin* origin = nullptr;        // nullptr: unsigned
  std::uint64_t created = 1767225600;

  // Of its slots.
  std::uint16_t kind() const { return is_exclusive(suite) ? exclusive_double_kind : double_kind; }
};

// Of the header copies, and where the data area starts, with few slots.
inline constexpr std::size_t small_header = 8192;
inline constexpr std::size_t small_data_start = block_size + 2 * small_header;

// Throws what fails: for tests in which it must not.
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
Bytes seal(const Sample& sample);
Status seal_to(const Sample& sample, int output_fd);

UniqueFd memory_file(ByteView content = {});
Bytes content_of(int fd);

struct ReadSettings {
  std::vector<TrustedOrigin> origins;
  bool allow_unsigned = false;
  std::vector<std::string> words = {"alice"};

  ReaderTrust trust() const { return {origins, allow_unsigned}; }
};
ReadSettings trusting(const DoubleOrigin& origin);
ReadSettings trusting(const std::vector<const DoubleOrigin*>& hosts);
ReadSettings unsigned_allowed();

struct Contents {
  std::map<std::string, Bytes> images;
  std::vector<std::string> warnings;  // of the header copies
  std::vector<std::string> skipped;   // of slots
  std::string origin_name;
  std::size_t slot = 0;
};
// All of docs/format.md, "Reading". When nothing opens, `skipped` of the contents would be lost:
// who wants it calls find_slot().
Result<Contents> read_sealed(int fd, const ReadSettings& settings);
Result<Contents> read_sealed_with(int fd, const ReadSettings& settings,
                                  const Identities& identities);
Result<Contents> read_bytes(ByteView file, const ReadSettings& settings);
// As far as step 5, without reading a chunk.
Status open_manifest(ByteView file, const ReadSettings& settings);

}  // namespace ckptseal::test
