// SPDX-License-Identifier: Apache-2.0
#include "sealing/manifest_rules.h"

#include "sealing/damage.h"

namespace ckptseal {
namespace {

// docs/format.md, "Record page".
constexpr std::uint16_t parent_record = 1;
constexpr std::size_t parent_record_size = 16 + 32 + 16;

}  // namespace

Status ManifestRules::take(std::uint64_t index, const ManifestPage& page, bool last) {
  if (std::holds_alternative<EndPage>(page) != last) {
    return damaged_manifest("the end page is not the last");
  }
  page_index_ = index;
  return std::visit([&](const auto& p) { return add(p); }, page);
}

Result<ManifestContents> ManifestRules::finish() {
  // Only now, for an image record may stand before the chunk pages of its image.
  for (const ImageInfo& image : contents_.images) CKPTSEAL_TRY(check_chunks_of(image));
  CKPTSEAL_TRY(check_totals());
  CKPTSEAL_TRY(check_names());
  if (has_parent_record_ != immutable_.has_parent()) {
    return damaged_manifest("its parent and the key of it do not belong together");
  }
  return std::move(contents_);
}

Status ManifestRules::add(const ChunkPage& page) {
  if (last_type_ != 0) return damaged_manifest("its pages are out of order");
  CKPTSEAL_TRY(make_room_for(page.image_number));
  Seen& seen = seen_[page.image_number];
  if (seen.chunks_ended || page.first_index != seen.chunks) {
    return damaged_manifest("chunks are missing or out of order");
  }
  seen.chunks_ended = page.entries.size() < chunks_per_page(immutable_.suite);
  seen.chunks += page.entries.size();
  contents_.locations[page.image_number].chunk_pages.push_back(page_index_);
  return count_zeros(page.entries, seen);
}

Status ManifestRules::add(const ImagePage& page) {
  if (last_type_ != 0) return damaged_manifest("its pages are out of order");
  for (const ImageRecord& record : page.records) CKPTSEAL_TRY(add_record(record));
  return {};
}

Status ManifestRules::add_record(const ImageRecord& record) {
  CKPTSEAL_TRY(make_room_for(record.number));
  Seen& seen = seen_[record.number];
  if (seen.described) return damaged_manifest("an image number stands twice");
  if (!contents_.by_name.emplace(record.name, record.number).second) {
    return damaged_manifest("an image name stands twice");
  }
  const std::uint64_t chunks = chunk_count(record.length, immutable_.chunk_size());
  seen.described = true;
  contents_.locations[record.number].inline_entries = record.inline_entries;
  contents_.images[record.number] = {record.number, record.name, record.length, chunks};
  ++described_;
  chunks_ += chunks;
  content_bytes_ += record.length;
  return record.inline_entries.empty() ? Status() : count_zeros(record.inline_entries, seen);
}

// A chunk of zeros has neither tag nor digest.
Status ManifestRules::count_zeros(const std::vector<ChunkEntry>& entries, Seen& seen) const {
  for (const ChunkEntry& entry : entries) {
    if (!entry.is_zeros()) continue;
    if (!all_zero(entry.tag) || !all_zero(entry.digest)) {
      return damaged_manifest("a chunk of zeros has a tag or a digest");
    }
    ++seen.zeros;
  }
  seen.last_is_zeros = entries.back().is_zeros();
  return {};
}

Status ManifestRules::add(const RecordPage& page) {
  for (const TypedRecord& record : page.records) CKPTSEAL_TRY(check_typed(record));
  return {};
}

Status ManifestRules::check_typed(const TypedRecord& record) {
  if (record.type < last_type_) return damaged_manifest("its records are out of order");
  last_type_ = record.type;
  if (record.type != parent_record) {
    if (!record.critical) return {};
    return damaged_manifest("it has a record that needs a newer ckpt-seal");
  }
  if (!record.critical || has_parent_record_ || record.body.size() != parent_record_size) {
    return damaged_manifest("what it says of its parent is wrong");
  }
  has_parent_record_ = true;
  return {};
}

Status ManifestRules::add(const EndPage& page) {
  contents_.totals = page;
  return {};
}

// All of them inline, or all of them in chunk pages. What is stored of them counts.
Status ManifestRules::check_chunks_of(const ImageInfo& image) {
  const ImageLocation& location = contents_.locations[image.number];
  const Seen& seen = seen_[image.number];
  if (!location.inline_entries.empty() && !location.chunk_pages.empty()) {
    return damaged_manifest("an image's chunks stand in the wrong place");
  }
  if (location.inline_entries.size() + seen.chunks != image.chunks) {
    return damaged_manifest("chunks are missing or too many");
  }
  const std::uint64_t last_size = image.length % immutable_.chunk_size();
  if (seen.last_is_zeros && last_size == 0) {
    return damaged_manifest("an empty chunk is no chunk of zeros");
  }
  const std::uint64_t full = image.chunks - 1;
  const std::uint64_t full_zeros = seen.zeros - (seen.last_is_zeros ? 1 : 0);
  data_bytes_ += (full - full_zeros) * immutable_.chunk_size();
  if (!seen.last_is_zeros) data_bytes_ += round_to_blocks(last_size);
  return {};
}

Status ManifestRules::check_totals() const {
  const EndPage& totals = contents_.totals;
  if (contents_.images.size() != totals.image_count || described_ != totals.image_count ||
      chunks_ != totals.chunk_count || content_bytes_ != totals.content_bytes) {
    return damaged_manifest("its totals do not fit");
  }
  if (totals.manifest_offset != manifest_offset_ ||
      data_bytes_ != manifest_offset_ - immutable_.data_start()) {
    return damaged_manifest("the data area holds what no image owns");
  }
  return {};
}

// docs/format.md, "Contents".
Status ManifestRules::check_names() const {
  if (immutable_.content == Content::criu) return {};
  const auto name = immutable_.content == Content::stream ? stream_image_name : tree_image_name;
  if (contents_.images.size() == 1 && contents_.images[0].name == name) return {};
  return damaged_manifest("its images are not those of its content");
}

Status ManifestRules::make_room_for(std::uint32_t number) {
  if (number >= largest_image_count) return damaged_manifest("an image number is absurd");
  if (number < contents_.images.size()) return {};
  contents_.images.resize(number + 1);
  contents_.locations.resize(number + 1);
  seen_.resize(number + 1);
  return {};
}

}  // namespace ckptseal
