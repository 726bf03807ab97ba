// SPDX-License-Identifier: Apache-2.0
//
// From the data key to a manifest that was checked.
#include "sealing/unlocked_file.h"

#include <algorithm>

#include "sealing/damage.h"

namespace ckptseal {

UnlockedFile::UnlockedFile(const SealedFile& file, FileKeys keys, Aead manifest_aead)
    : file_(&file), keys_(std::move(keys)), manifest_aead_(std::move(manifest_aead)) {}

Result<UnlockedFile> UnlockedFile::open(const SealedFile& file, const UnlockedSlot& slot) {
  const HeaderBlock& header = file.header();
  CKPTSEAL_ASSIGN(FileKeys keys, FileKeys::derive(slot.data_key, header.immutable_bytes));
  if (!header.mac_fits(keys.header_key())) {
    return Error{Code::integrity, "its header was altered (wrong MAC)", 0};
  }
  CKPTSEAL_ASSIGN(Aead aead, Aead::make(cipher_of(header.immutable.suite), keys.manifest_key()));
  UnlockedFile unlocked(file, std::move(keys), std::move(aead));
  CKPTSEAL_TRY(unlocked.read_manifest());
  return unlocked;
}

Status UnlockedFile::check_alone() const {
  if (!file_->immutable().has_parent()) return {};
  return Error{Code::failed,
               "it holds what has changed since another checkpoint, and this ckpt-seal follows no "
               "chains; open it with a newer one",
               0};
}

Result<ManifestPage> UnlockedFile::read_page(std::uint64_t index) const {
  CKPTSEAL_ASSIGN(Bytes page, file_->read_page(index));
  const bool last = index + 1 == file_->trailer().page_count;
  Tag tag{};
  std::copy(page.end() - 16, page.end(), tag.begin());
  const MutableByteView plaintext = MutableByteView(page).first(page_plaintext_size);
  CKPTSEAL_ASSIGN(const bool fits,
                  manifest_aead_.decrypt(position_nonce(index, last), {}, plaintext, tag));
  if (!fits) return damaged_manifest("a page does not decrypt");
  return parse_page(plaintext, file_->immutable().suite, file_->immutable().chunk_size());
}

Status UnlockedFile::read_manifest() {
  ManifestRules rules(file_->immutable(), file_->trailer().manifest_offset);
  const std::uint64_t pages = file_->trailer().page_count;
  for (std::uint64_t p = 0; p < pages; ++p) {
    CKPTSEAL_ASSIGN(const ManifestPage page, read_page(p));
    CKPTSEAL_TRY(rules.take(p, page, p + 1 == pages));
  }
  CKPTSEAL_ASSIGN(manifest_, rules.finish());
  return {};
}

const ImageInfo* UnlockedFile::find(const std::string& name) const {
  const auto found = manifest_.by_name.find(name);
  return found == manifest_.by_name.end() ? nullptr : &manifest_.images[found->second];
}

}  // namespace ckptseal
