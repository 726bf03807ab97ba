// SPDX-License-Identifier: Apache-2.0
//
// The rules of a whole manifest, in one pass over its pages: what each page says is held against
// what came before, and what is kept is where the images are. docs/format.md, "Manifest". Pure.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "sealing/immutable_part.h"
#include "sealing/manifest.h"

namespace ckptseal {

struct ImageInfo {
  std::uint32_t number = 0;
  std::string name;
  std::uint64_t length = 0;
  std::uint64_t chunks = 0;
};

// Where the chunk entries of an image stand.
struct ImageLocation {
  std::vector<std::uint64_t> chunk_pages;
  std::vector<ChunkEntry> inline_entries;
};

struct ManifestContents {
  std::vector<ImageInfo> images;         // by number
  std::vector<ImageLocation> locations;  // likewise
  std::unordered_map<std::string, std::uint32_t> by_name;
  EndPage totals;
};

class ManifestRules {
 public:
  // The data area ends at `manifest_offset`.
  ManifestRules(const ImmutablePart& immutable, std::uint64_t manifest_offset)
      : immutable_(immutable), manifest_offset_(manifest_offset) {}

  // The pages in their order; `last` for the last one. Code::integrity when a rule is broken.
  Status take(std::uint64_t index, const ManifestPage& page, bool last);
  // Behind the last page.
  Result<ManifestContents> finish();

 private:
  struct Seen {
    bool described = false;      // its image record was seen
    bool chunks_ended = false;   // a chunk page that was not full was seen
    std::uint64_t chunks = 0;    // in chunk pages
    std::uint64_t zeros = 0;     // of the chunks seen
    bool last_is_zeros = false;  // of the chunks seen
  };

  Status add(const ChunkPage& page);
  Status add(const ImagePage& page);
  Status add(const RecordPage& page);
  Status add(const EndPage& page);
  Status add_record(const ImageRecord& record);
  Status check_typed(const TypedRecord& record);
  Status count_zeros(const std::vector<ChunkEntry>& entries, Seen& seen) const;
  Status check_chunks_of(const ImageInfo& image);
  Status check_totals() const;
  Status check_names() const;
  Status make_room_for(std::uint32_t number);

  const ImmutablePart& immutable_;
  std::uint64_t manifest_offset_;
  ManifestContents contents_;
  std::vector<Seen> seen_;  // by number, as images
  std::uint64_t page_index_ = 0;
  std::uint64_t chunks_ = 0;
  std::uint64_t content_bytes_ = 0;
  std::uint64_t data_bytes_ = 0;
  std::uint32_t described_ = 0;
  std::uint16_t last_type_ = 0;  // of a typed record
  bool has_parent_record_ = false;
};

}  // namespace ckptseal
