// SPDX-License-Identifier: Apache-2.0
//
// Chunk after chunk of one image: read, held against digest and tag, decrypted; some of them ahead.
#include <algorithm>

#include "base/fd.h"
#include "sealing/damage.h"
#include "sealing/unlocked_file.h"

namespace ckptseal {
namespace {

// Of one image: as much as CRIU's pipe takes at once, and what is worked on meanwhile.
constexpr std::size_t most_chunks_ahead = 4;
// Of all images of a file.
constexpr std::size_t most_bytes_ahead = std::size_t{16} << 20;

}  // namespace

// A chunk on its way from the file.
struct UnlockedFile::ImageReader::Piece {
  int fd = -1;
  ImageCipher* cipher = nullptr;
  std::uint64_t index = 0;
  bool last = false;
  std::size_t size = 0;
  ChunkEntry entry;
  PageBuffer buffer;
  std::shared_ptr<Workers::Job> job;

  MutableByteView content() const { return buffer.view().first(size); }
  Status work() const {
    if (entry.is_zeros()) {
      const MutableByteView zeros = content();
      std::fill(zeros.begin(), zeros.end(), std::uint8_t{0});
      return {};
    }
    const MutableByteView padded = buffer.view().first(round_to_blocks(size));
    CKPTSEAL_ASSIGN(const std::size_t done, pread_full(fd, padded, entry.offset));
    if (done != padded.size()) {
      return Error{Code::integrity, "it was cut short while it was read", 0};
    }
    if (!all_zero(padded.subspan(size))) {
      return Error{Code::integrity, "the padding of a chunk is not zero", 0};
    }
    return cipher->decrypt(index, last, content(), entry);
  }
};

Result<UnlockedFile::ImageReader> UnlockedFile::read_image(const ImageInfo& image,
                                                           Workers* workers) const {
  CKPTSEAL_ASSIGN(ImageCipher cipher,
                  ImageCipher::make(keys_, file_->immutable().suite, image.number));
  return ImageReader(*this, image, std::move(cipher), workers);
}

UnlockedFile::ImageReader::ImageReader(const UnlockedFile& file, const ImageInfo& image,
                                       ImageCipher cipher, Workers* workers)
    : file_(file),
      image_(image),
      cipher_(std::make_unique<ImageCipher>(std::move(cipher))),
      workers_(workers) {}

UnlockedFile::ImageReader::ImageReader(ImageReader&&) noexcept = default;
UnlockedFile::ImageReader::~ImageReader() { forget_ahead(); }

Result<ChunkEntry> UnlockedFile::ImageReader::entry_of(std::uint64_t index) {
  const ImageLocation& location = file_.manifest_.locations[image_.number];
  if (!location.inline_entries.empty()) return location.inline_entries[index];
  const std::size_t per_page = chunks_per_page(file_.file_->immutable().suite);
  if (page_.entries.empty() || index / per_page * per_page != page_.first_index) {
    CKPTSEAL_ASSIGN(ManifestPage page, file_.read_page(location.chunk_pages[index / per_page]));
    page_ = std::get<ChunkPage>(std::move(page));
  }
  return page_.entries[index % per_page];
}

// Enough for any chunk of this image.
PageBuffer UnlockedFile::ImageReader::fresh_buffer() {
  if (spare_.empty()) {
    const std::uint64_t chunk_size = file_.file_->immutable().chunk_size();
    const std::uint64_t largest = std::min(image_.length, chunk_size);
    return PageBuffer(round_to_blocks(static_cast<std::size_t>(largest)));
  }
  PageBuffer out = std::move(spare_.back());
  spare_.pop_back();
  return out;
}

Result<std::unique_ptr<UnlockedFile::ImageReader::Piece>> UnlockedFile::ImageReader::begin(
    std::uint64_t index) {
  const SealedFile& sealed = *file_.file_;
  const std::size_t chunk_size = sealed.immutable().chunk_size();
  auto piece = std::make_unique<Piece>();
  piece->fd = sealed.fd();
  piece->cipher = cipher_.get();
  piece->index = index;
  piece->last = index + 1 == image_.chunks;
  piece->size = piece->last ? image_.length % chunk_size : chunk_size;
  CKPTSEAL_ASSIGN(piece->entry, entry_of(index));
  const std::uint64_t offset = piece->entry.offset;
  const std::size_t padded = round_to_blocks(piece->size);
  const bool in_data_area = offset % block_size == 0 && offset >= sealed.immutable().data_start() &&
                            offset <= sealed.trailer().manifest_offset &&
                            padded <= sealed.trailer().manifest_offset - offset;
  const bool in_place = piece->size == 0 ? offset == 0 : in_data_area || piece->entry.is_zeros();
  if (!in_place) return damaged_manifest("a chunk is out of place");
  piece->buffer = fresh_buffer();
  return piece;
}

Status UnlockedFile::ImageReader::read_ahead() {
  if (workers_ == nullptr) return {};
  const std::size_t chunk_size = file_.file_->immutable().chunk_size();
  while (ahead_.size() < most_chunks_ahead && index_ + ahead_.size() < image_.chunks &&
         file_.read_ahead_ + chunk_size <= most_bytes_ahead) {
    CKPTSEAL_ASSIGN(std::unique_ptr<Piece> piece, begin(index_ + ahead_.size()));
    piece->job = workers_->start([work = piece.get()] { return work->work(); });
    file_.read_ahead_ += chunk_size;
    ahead_.push_back(std::move(piece));
  }
  return {};
}

void UnlockedFile::ImageReader::forget_ahead() {
  for (const auto& piece : ahead_) {
    (void)piece->job->wait();
    file_.read_ahead_ -= file_.file_->immutable().chunk_size();
  }
  ahead_.clear();
}

bool UnlockedFile::ImageReader::is_hole() const { return current_ && current_->entry.is_zeros(); }

void UnlockedFile::ImageReader::keep() { kept_.push_back(std::move(current_->buffer)); }

void UnlockedFile::ImageReader::let_go() {
  spare_.push_back(std::move(kept_.front()));
  kept_.pop_front();
}

Result<MutableByteView> UnlockedFile::ImageReader::next() {
  if (current_ && !current_->buffer.view().empty()) spare_.push_back(std::move(current_->buffer));
  current_.reset();
  if (index_ == image_.chunks) return MutableByteView();
  CKPTSEAL_TRY(read_ahead());
  if (ahead_.empty()) {
    CKPTSEAL_ASSIGN(current_, begin(index_));
    CKPTSEAL_TRY(current_->work());
  } else {
    current_ = std::move(ahead_.front());
    ahead_.pop_front();
    file_.read_ahead_ -= file_.file_->immutable().chunk_size();
    CKPTSEAL_TRY(current_->job->wait());
  }
  ++index_;
  CKPTSEAL_TRY(read_ahead());
  return current_->content();
}

void UnlockedFile::ImageReader::give_back() {
  if (!current_) return;
  current_.reset();  // not to the spare ones: a pipe may refer to it
  forget_ahead();
  spare_.clear();
  --index_;
}

}  // namespace ckptseal
