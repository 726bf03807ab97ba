// SPDX-License-Identifier: Apache-2.0
//
// Unlocks, checks the manifest rule by rule in one pass, and reads chunks.
#include "sealing/unlocked_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fd.h"

namespace ckptseal {
namespace {

Error damaged(std::string_view why) {
  return Error{Code::integrity, fmt::format("its manifest is not as it has to be ({})", why), 0};
}

}  // namespace

namespace {

// A passphrase may be that of the next slot, and who cannot open a threshold alone may open another
// slot alone.
bool leaves_others(Code code) { return code == Code::policy || code == Code::no_slot; }

}  // namespace

Result<UnlockedSlot> unlock_slot(const HeaderBlock& header,
                                 std::span<const std::unique_ptr<Identity>> identities,
                                 std::optional<std::size_t> only_slot) {
  std::optional<Error> refused;
  for (const auto& identity : identities) {
    for (std::size_t s = 0; s < header.slots.size(); ++s) {
      if (only_slot && *only_slot != s) continue;
      auto key = identity->unwrap(header.slots[s].body, header.immutable.checkpoint());
      if (!key.ok()) {
        if (!leaves_others(key.error().code)) return std::move(key).error();
        if (!refused) refused = std::move(key).error();
        continue;
      }
      if (key.value()) return UnlockedSlot{s, *std::move(key).value()};
    }
  }
  if (refused) return *std::move(refused);
  return Error{
      Code::no_slot,
      "it has no slot for this host or identity; ask its owner to seal it for you, or name "
      "another identity with --identity",
      0};
}

// One pass over the pages that holds each against what came before.
class UnlockedFile::Checker {
 public:
  explicit Checker(UnlockedFile& file)
      : file_(file),
        suite_(file.file_->immutable().suite),
        chunk_size_(file.file_->immutable().chunk_size()) {}

  Status page(std::uint64_t index, const ManifestPage& page, bool last) {
    if (std::holds_alternative<EndPage>(page) != last)
      return damaged("the end page is not the last");
    page_index_ = index;
    return std::visit([&](const auto& p) { return add(p); }, page);
  }

  Status finish() {
    const EndPage& totals = file_.totals_;
    if (file_.images_.size() != totals.image_count || described_ != totals.image_count ||
        chunks_ != totals.chunk_count || content_bytes_ != totals.content_bytes) {
      return damaged("its totals do not fit");
    }
    // Only now, for an image record may stand before the chunk pages of its image.
    for (const ImageInfo& image : file_.images_) CKPTSEAL_TRY(check_chunks_of(image));
    const SealedFile& sealed = *file_.file_;
    const std::uint64_t data_bytes =
        sealed.trailer().manifest_offset - sealed.immutable().data_start();
    if (totals.manifest_offset != sealed.trailer().manifest_offset || data_bytes_ != data_bytes) {
      return damaged("the data area holds what no image owns");
    }
    return {};
  }

 private:
  Status add(const ChunkPage& page) {
    if (!file_.sealed_slots_.empty()) return damaged("its pages are out of order");
    CKPTSEAL_ASSIGN(ImageLocation * image, location(page.image_number));
    if (image->chunks_ended || page.first_index != image->chunks_seen) {
      return damaged("chunks are missing or out of order");
    }
    image->chunks_ended = page.entries.size() < chunks_per_page(suite_);
    image->chunks_seen += page.entries.size();
    image->chunk_pages.push_back(page_index_);
    return {};
  }

  Status add(const ImagePage& page) {
    if (!file_.sealed_slots_.empty()) return damaged("its pages are out of order");
    for (const ImageRecord& record : page.records) CKPTSEAL_TRY(add_record(record));
    return {};
  }

  Status add_record(const ImageRecord& record) {
    CKPTSEAL_ASSIGN(ImageLocation * image, location(record.number));
    if (image->described) return damaged("an image number stands twice");
    if (!file_.by_name_.emplace(record.name, record.number).second) {
      return damaged("an image name stands twice");
    }
    const std::uint64_t chunks = chunk_count(record.length, chunk_size_);
    image->described = true;
    image->inline_entries = record.inline_entries;
    file_.images_[record.number] = {record.number, record.name, record.length, chunks};
    ++described_;
    chunks_ += chunks;
    content_bytes_ += record.length;
    data_bytes_ +=
        record.length / chunk_size_ * chunk_size_ + round_to_blocks(record.length % chunk_size_);
    return {};
  }

  // All of them inline, or all of them in chunk pages.
  Status check_chunks_of(const ImageInfo& image) const {
    const ImageLocation& location = file_.locations_[image.number];
    if (!location.inline_entries.empty() && !location.chunk_pages.empty()) {
      return damaged("an image's chunks stand in the wrong place");
    }
    if (location.inline_entries.size() + location.chunks_seen != image.chunks) {
      return damaged("chunks are missing or too many");
    }
    return {};
  }

  Status add(const SlotPage& page) {
    if (page.first_index != file_.sealed_slots_.size() ||
        file_.sealed_slots_.size() % slots_per_page != 0) {
      return damaged("its slot pages are out of order");
    }
    file_.sealed_slots_.insert(file_.sealed_slots_.end(), page.digests.begin(), page.digests.end());
    return {};
  }

  Status add(const EndPage& page) {
    file_.totals_ = page;
    return {};
  }

  Result<ImageLocation*> location(std::uint32_t number) {
    if (number >= largest_image_count) return damaged("an image number is absurd");
    if (number >= file_.images_.size()) {
      file_.images_.resize(number + 1);
      file_.locations_.resize(number + 1);
    }
    return &file_.locations_[number];
  }

  UnlockedFile& file_;
  Suite suite_;
  std::size_t chunk_size_;
  std::uint64_t page_index_ = 0;
  std::uint64_t chunks_ = 0;
  std::uint64_t content_bytes_ = 0;
  std::uint64_t data_bytes_ = 0;
  std::uint32_t described_ = 0;
};

UnlockedFile::UnlockedFile(const SealedFile& file, FileKeys keys, Aead manifest_aead)
    : file_(&file), keys_(std::move(keys)), manifest_aead_(std::move(manifest_aead)) {}

namespace {

Status check_added(const Slot& slot, const CheckpointId& id, std::span<const TrustedOrigin> adders,
                   Seconds now) {
  const auto adder = std::find_if(
      adders.begin(), adders.end(),
      [&](const TrustedOrigin& candidate) { return candidate.identity == slot.adder->host; });
  if (adder == adders.end()) {
    return Error{Code::untrusted,
                 fmt::format("its slot was added by a host with the identity {}, which is not "
                             "trusted here; if you trust that host, run 'ckpt-seal host trust "
                             "RECORD --as origin'",
                             to_hex(slot.adder->host)),
                 0};
  }
  const Digest digest = slot_signature_digest(id, slot.adder->generation, slot.digest());
  if (adder->has_signed(digest, slot.adder->signature, now)) return {};
  // At time 0 nothing has expired.
  if (adder->has_signed(digest, slot.adder->signature, 0)) {
    return Error{Code::untrusted,
                 fmt::format("its slot was added by {}, whose record has expired; have that host "
                             "provisioned again and trust its new record",
                             adder->name),
                 0};
  }
  return Error{Code::integrity, "the signature of who added its slot does not fit", 0};
}

Status check_slot(const Slot& slot, const CheckpointId& id, const std::vector<Digest>& sealed_slots,
                  std::span<const TrustedOrigin> adders, Seconds now) {
  if (slot.adder) return check_added(slot, id, adders, now);
  if (std::find(sealed_slots.begin(), sealed_slots.end(), slot.digest()) != sealed_slots.end()) {
    return {};
  }
  return Error{Code::integrity, "the slot that opens it was not put there by its origin", 0};
}

}  // namespace

Result<UnlockedFile> UnlockedFile::open(const SealedFile& file, const UnlockedSlot& slot,
                                        std::span<const TrustedOrigin> adders, Seconds now) {
  const HeaderBlock& header = file.header();
  CKPTSEAL_ASSIGN(const Digest commitment, commit_to_key(slot.data_key, header.immutable.id));
  if (!equal_constant_time(commitment, header.immutable.commitment)) {
    return Error{Code::integrity, "its slot holds a key that is not this file's", 0};
  }
  CKPTSEAL_ASSIGN(FileKeys keys, FileKeys::derive(slot.data_key, header.immutable_bytes));
  if (!header.mac_fits(keys.header_key())) {
    return Error{Code::integrity, "its header was altered (wrong MAC)", 0};
  }
  CKPTSEAL_ASSIGN(Aead aead, Aead::make(cipher_of(header.immutable.suite), keys.manifest_key()));
  UnlockedFile unlocked(file, std::move(keys), std::move(aead));
  CKPTSEAL_TRY(unlocked.read_manifest());
  CKPTSEAL_TRY(check_slot(header.slots[slot.index], header.immutable.id, unlocked.sealed_slots_,
                          adders, now));
  return unlocked;
}

Result<ManifestPage> UnlockedFile::read_page(std::uint64_t index) const {
  CKPTSEAL_ASSIGN(Bytes page, file_->read_page(index));
  const bool last = index + 1 == file_->trailer().page_count;
  Tag tag{};
  std::copy(page.end() - 16, page.end(), tag.begin());
  const MutableByteView plaintext = MutableByteView(page).first(page_plaintext_size);
  CKPTSEAL_ASSIGN(const bool fits,
                  manifest_aead_.decrypt(position_nonce(index, last), {}, plaintext, tag));
  if (!fits) return damaged("a page does not decrypt");
  return parse_page(plaintext, file_->immutable().suite, file_->immutable().chunk_size());
}

Status UnlockedFile::read_manifest() {
  Checker checker(*this);
  const std::uint64_t pages = file_->trailer().page_count;
  for (std::uint64_t p = 0; p < pages; ++p) {
    CKPTSEAL_ASSIGN(const ManifestPage page, read_page(p));
    CKPTSEAL_TRY(checker.page(p, page, p + 1 == pages));
  }
  CKPTSEAL_TRY(checker.finish());
  const Content content = file_->immutable().content;
  if (content != Content::criu) {
    const auto name = content == Content::stream ? stream_image_name : tree_image_name;
    if (images_.size() != 1 || images_[0].name != name) {
      return damaged("its images are not those of its content");
    }
  }
  return {};
}

const ImageInfo* UnlockedFile::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &images_[found->second];
}

}  // namespace ckptseal
