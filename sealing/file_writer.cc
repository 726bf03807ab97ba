// SPDX-License-Identifier: Apache-2.0
//
// Seals: wraps the data key for every recipient, then content, manifest and signature.
#include "sealing/file_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"

namespace ckptseal {
namespace {

// Enough that no worker waits for the one thread that reads and writes.
constexpr std::size_t most_on_their_way = 8;

}  // namespace

Result<FileWriter::Output> FileWriter::Output::from_here_on(int fd) {
  Output out(fd);
  struct stat info = {};
  const int flags = fcntl(fd, F_GETFL);
  if (fstat(fd, &info) != 0 || flags < 0) return system_error("Cannot write", errno);
  // With O_APPEND all goes to the end, whatever the position.
  if (!S_ISREG(info.st_mode) || (flags & O_APPEND) != 0) return out;
  const off_t start = lseek(fd, 0, SEEK_CUR);
  if (start < 0) return system_error("Cannot write", errno);
  out.start_ = static_cast<std::uint64_t>(start);
  return out;
}

Status FileWriter::Output::write(ByteView bytes, std::uint64_t offset) const {
  return start_ ? pwrite_full(fd_, bytes, *start_ + offset) : write_full(fd_, bytes);
}

Status FileWriter::Output::leave_at(std::uint64_t offset) const {
  if (!start_ || lseek(fd_, static_cast<off_t>(*start_ + offset), SEEK_SET) >= 0) return {};
  return system_error("Cannot write", errno);
}

Result<FileWriter> FileWriter::start(int output_fd, int spool_fd, const SealOptions& options,
                                     std::span<const std::unique_ptr<Recipient>> recipients) {
  if (recipients.empty() || (is_exclusive(options.suite) && recipients.size() != 1)) {
    return Error{
        Code::usage,
        is_exclusive(options.suite)
            ? "An exclusive file has exactly one recipient; name one, or leave --exclusive out."
            : "There is no recipient; name one with --to.",
        0};
  }
  ImmutablePart immutable;
  immutable.suite = options.suite;
  immutable.content = options.content;
  immutable.chunk_log2 = options.chunk_log2;
  immutable.origin = options.origin;
  immutable.created = options.created;
  immutable.limits = options.limits;
  CKPTSEAL_ASSIGN(const Secret data_key, random_secret(data_key_size));
  CKPTSEAL_ASSIGN(immutable.id, random_array<16>());
  CKPTSEAL_ASSIGN(immutable.commitment, commit_to_key(data_key, immutable.id));
  CKPTSEAL_ASSIGN(std::vector<Slot> slots,
                  make_slots(recipients, data_key, immutable.checkpoint()));
  if (is_exclusive(options.suite) && !may_be_exclusive(slots[0].body)) {
    return Error{Code::usage,
                 "An exclusive file is for one holder of one key: name a host, a token, a "
                 "certificate or a public key, or leave --exclusive out.",
                 0};
  }
  CKPTSEAL_ASSIGN(const HeaderBlock header, first_header(immutable, std::move(slots)));
  CKPTSEAL_ASSIGN(FileKeys keys, FileKeys::derive(data_key, header.immutable_bytes));
  CKPTSEAL_ASSIGN(ManifestWriter manifest, ManifestWriter::make(keys, options.suite, spool_fd));

  const Bytes block = header.serialize(keys.header_key());
  CKPTSEAL_ASSIGN(const Output output, Output::from_here_on(output_fd));
  FileWriter writer(output, spool_fd, std::move(keys), std::move(manifest));
  writer.immutable_ = header.immutable;
  writer.immutable_bytes_ = header.immutable_bytes;
  writer.workers_ = std::make_unique<Workers>(Workers::usual_count());
  CKPTSEAL_TRY(writer.write(build_preamble(header.immutable.header_log2)));
  CKPTSEAL_TRY(writer.write(block));
  CKPTSEAL_TRY(writer.write(block));
  return writer;
}

Result<FileWriter::Image> FileWriter::add_image(std::string name) {
  if (!valid_image_name(name)) {
    return Error{Code::failed, "An image has a name that a sealed checkpoint cannot hold.", 0};
  }
  const std::uint32_t number = next_image_++;
  CKPTSEAL_ASSIGN(ImageCipher cipher, ImageCipher::make(keys_, immutable_.suite, number));
  return Image(*this, std::move(name), number, std::move(cipher));
}

Status FileWriter::write(ByteView bytes) {
  CKPTSEAL_TRY(output_.write(bytes, offset_));
  offset_ += bytes.size();
  return {};
}

Bytes FileWriter::fresh_buffer() {
  if (spare_buffers_.empty()) return Bytes(immutable_.chunk_size());
  Bytes out = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return out;
}

ByteView FileWriter::Pending::stored() const {
  return ByteView(buffer).first(entry.is_zeros() ? 0 : round_to_blocks(size));
}

Status FileWriter::Pending::encrypt() {
  if (entry.is_zeros()) return {};
  const auto end = buffer.begin() + static_cast<std::ptrdiff_t>(size);
  std::fill(end, buffer.begin() + static_cast<std::ptrdiff_t>(stored().size()), std::uint8_t{0});
  return cipher->encrypt(index, last, MutableByteView(buffer).first(size), entry);
}

// Its place in the file is known before it is encrypted; zeros have none.
Status FileWriter::submit(std::unique_ptr<Pending> chunk) {
  const ByteView content = ByteView(chunk->buffer).first(chunk->size);
  if (!content.empty() && all_zero(content)) {
    chunk->entry = ChunkEntry::zeros();
  } else if (!content.empty()) {
    chunk->entry.offset = offset_;
  }
  chunk->job = workers_->start([work = chunk.get(), output = output_]() -> Status {
    CKPTSEAL_TRY(work->encrypt());
    return output.is_file() ? output.write(work->stored(), work->entry.offset) : Status();
  });
  offset_ += chunk->stored().size();
  on_their_way_.push_back(std::move(chunk));
  while (!on_their_way_.empty() && on_their_way_.front()->job->done()) CKPTSEAL_TRY(end_first());
  return end_until(most_on_their_way);
}

Status FileWriter::end_first() {
  const std::unique_ptr<Pending> chunk = std::move(on_their_way_.front());
  on_their_way_.pop_front();
  CKPTSEAL_TRY(chunk->job->wait());
  if (!output_.is_file()) CKPTSEAL_TRY(output_.write(chunk->stored(), chunk->entry.offset));
  CKPTSEAL_TRY(manifest_.add_chunk(chunk->image, chunk->entry));
  spare_buffers_.push_back(std::move(chunk->buffer));
  if (!chunk->last) return {};
  return manifest_.end_image(chunk->image, std::move(chunk->name), chunk->length);
}

Status FileWriter::end_until(std::size_t most) {
  while (on_their_way_.size() > most) CKPTSEAL_TRY(end_first());
  return {};
}

Status FileWriter::copy_manifest() {
  Bytes page(page_size);
  for (std::uint64_t p = 0; p < manifest_.page_count(); ++p) {
    CKPTSEAL_ASSIGN(const std::size_t size, pread_full(spool_fd_, page, p * page_size));
    if (size != page_size) return Error{Code::failed, "The temporary file was cut short.", 0};
    CKPTSEAL_TRY(write(page));
  }
  return {};
}

Status FileWriter::finish(const SignFunction& sign) {
  CKPTSEAL_TRY(end_until(0));
  Trailer trailer;
  trailer.manifest_offset = offset_;
  CKPTSEAL_TRY(manifest_.finish(offset_));
  trailer.page_count = manifest_.page_count();
  if (immutable_.is_signed()) {
    const Digest file = file_digest_of(immutable_bytes_, manifest_.digest());
    CKPTSEAL_ASSIGN(const EcdsaSignature signature, sign(origin_digest_of(file, trailer.evidence)));
    trailer.signature = FileSignature(signature);
  }
  CKPTSEAL_TRY(copy_manifest());
  CKPTSEAL_TRY(write(trailer.serialize()));
  return output_.leave_at(offset_);
}

FileWriter::Image::Image(FileWriter& writer, std::string name, std::uint32_t number,
                         ImageCipher cipher)
    : writer_(writer),
      name_(std::move(name)),
      number_(number),
      cipher_(std::make_shared<ImageCipher>(std::move(cipher))),
      buffer_(writer.fresh_buffer()) {}

Status FileWriter::Image::put(std::size_t size) {
  filled_ += size;
  return filled_ == buffer_.size() ? submit_chunk(false) : Status();
}

Status FileWriter::Image::finish() { return submit_chunk(true); }

Status FileWriter::Image::submit_chunk(bool last) {
  auto chunk = std::make_unique<Pending>();
  chunk->cipher = cipher_;
  chunk->image = number_;
  chunk->index = index_;
  chunk->last = last;
  chunk->size = filled_;
  if (last) {
    chunk->name = std::move(name_);
    chunk->length = index_ * buffer_.size() + filled_;
  }
  chunk->buffer = std::move(buffer_);
  ++index_;
  filled_ = 0;
  CKPTSEAL_TRY(writer_.submit(std::move(chunk)));
  if (!last) buffer_ = writer_.fresh_buffer();
  return {};
}

}  // namespace ckptseal
