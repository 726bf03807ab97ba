// SPDX-License-Identifier: Apache-2.0
//
// Reads header and trailer, chooses a header copy, verifies the signature over raw bytes.
#include "sealing/sealed_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"

namespace ckptseal {
namespace {

constexpr unsigned most_readings_of_header = 100;
constexpr std::uint64_t pages_read_at_once = 64;

// docs/format.md, "Whose key": nullptr when it is not trusted at that time.
const TrustedOrigin* find_host(const ReaderTrust& trust, const Digest& identity, Seconds when) {
  const auto found =
      std::find_if(trust.hosts.begin(), trust.hosts.end(), [&](const TrustedOrigin& host) {
        return host.identity == identity && host.is_trusted_at(when);
      });
  return found == trust.hosts.end() ? nullptr : &*found;
}

Error untrusted(std::string clause) { return {Code::untrusted, std::move(clause), 0}; }

}  // namespace

Result<SealedFile> SealedFile::open(int fd) {
  SealedFile file(fd);
  CKPTSEAL_TRY(file.read_size());
  CKPTSEAL_TRY(file.read_header());
  CKPTSEAL_TRY(file.read_trailer());
  return file;
}

Status SealedFile::read_size() {
  struct stat info = {};
  if (fstat(fd_, &info) != 0) return system_error("it cannot be read", errno);
  if (!S_ISREG(info.st_mode)) return Error{Code::failed, "it is not a regular file", 0};
  size_ = static_cast<std::uint64_t>(info.st_size);
  if (size_ == 0) return Error{Code::integrity, "it is empty", 0};
  return {};
}

Result<Bytes> SealedFile::read_at(std::uint64_t offset, std::size_t size) const {
  Bytes out(size);
  CKPTSEAL_ASSIGN(const std::size_t done, pread_full(fd_, out, offset));
  if (done != size) return Error{Code::integrity, "it is cut short", 0};
  return out;
}

// A change of the slots may be writing a copy at this moment. What stays as it is is damaged.
Status SealedFile::read_header() {
  // Of a shorter file what there is: it may be one of another kind.
  CKPTSEAL_ASSIGN(const Bytes preamble, read_at(0, std::min<std::uint64_t>(size_, block_size)));
  CKPTSEAL_ASSIGN(const unsigned log2, parse_preamble(preamble));
  const std::size_t both = std::size_t{2} << log2;
  CKPTSEAL_ASSIGN(Bytes copies, read_at(block_size, both));
  for (unsigned reading = 1;; ++reading) {
    Status chosen = choose_copy(copies);
    if (!header_copy_damaged_ || reading == most_readings_of_header) return chosen;
    CKPTSEAL_ASSIGN(Bytes again, read_at(block_size, both));
    if (again == copies) return chosen;
    copies = std::move(again);
  }
}

Status SealedFile::choose_copy(ByteView both) {
  header_copy_damaged_ = false;
  warnings_.clear();
  std::optional<HeaderBlock> copies[2];
  Error first_error;
  for (unsigned i = 0; i < 2; ++i) {
    const std::size_t size = both.size() / 2;
    Result<HeaderBlock> copy = HeaderBlock::parse(both.subspan(i * size, size));
    if (copy.ok()) {
      copies[i] = std::move(copy).value();
    } else {
      header_copy_damaged_ = true;
      warnings_.push_back(
          fmt::format("one of its two header copies is damaged (copy {}); it still opens through "
                      "the other, so run 'ckpt-seal rewrap' on it without options",
                      i));
      first_error = std::move(copy).error();
    }
  }
  if (!copies[0] && !copies[1]) return first_error;
  if (copies[0] && copies[1] &&
      (copies[0]->generation != copies[1]->generation || copies[0]->mac != copies[1]->mac ||
       copies[0]->authenticated != copies[1]->authenticated)) {
    warnings_.emplace_back(
        "its two header copies differ, as after a change of recipients that was interrupted; the "
        "newer one is used, and 'ckpt-seal rewrap' without options completes the change");
  }
  if (copies[0] && copies[1] && copies[0]->immutable_bytes != copies[1]->immutable_bytes) {
    header_copy_damaged_ = true;
  }
  const bool second = !copies[0] || (copies[1] && copies[1]->generation > copies[0]->generation);
  chosen_copy_ = second ? 1 : 0;
  header_ = *std::move(copies[chosen_copy_]);
  listed_slots_.clear();
  ByteReader list(header_.slot_list);
  while (list.remaining() > 0) listed_slots_.insert(list.array<32>());
  return {};
}

Status SealedFile::read_trailer() {
  const std::uint64_t start = header_.immutable.data_start();
  if (size_ < start + page_size + block_size) {
    return Error{Code::integrity, "it is cut short", 0};
  }
  CKPTSEAL_ASSIGN(const Bytes back, read_at(size_ - trailer_back_size, trailer_back_size));
  CKPTSEAL_ASSIGN(const std::uint32_t trailer_size, Trailer::size_in(back));
  if (trailer_size > size_ - start) return Error{Code::integrity, "it is cut short", 0};
  CKPTSEAL_ASSIGN(const Bytes bytes, read_at(size_ - trailer_size, trailer_size));
  CKPTSEAL_ASSIGN(trailer_, Trailer::parse(bytes, size_, start));
  if (trailer_.signature.is_none() == immutable().is_signed() ||
      (!immutable().is_signed() && !trailer_.evidence.empty())) {
    return Error{Code::integrity, "its signature was added or taken away", 0};
  }
  return {};
}

Status SealedFile::hash_manifest() {
  if (!page_digests_.empty()) return {};
  Sha256 all;
  page_digests_.reserve(trailer_.page_count);
  for (std::uint64_t p = 0; p < trailer_.page_count; p += pages_read_at_once) {
    const std::uint64_t count = std::min(pages_read_at_once, trailer_.page_count - p);
    CKPTSEAL_ASSIGN(const Bytes pages,
                    read_at(trailer_.manifest_offset + p * page_size, count * page_size));
    all.update(pages);
    for (std::uint64_t i = 0; i < count; ++i) {
      page_digests_.push_back(Sha256::of(ByteView(pages).subspan(i * page_size, page_size)));
    }
  }
  manifest_digest_ = all.finish();
  return {};
}

Result<SignatureState> SealedFile::verify_origin(const ReaderTrust& trust) {
  if (!immutable().is_signed() && !trust.allow_unsigned) {
    return untrusted(
        "it is unsigned, so nobody vouches for it; if you know where it comes from, say "
        "--allow-unsigned");
  }
  const TrustedOrigin* origin = find_host(trust, immutable().origin, immutable().created);
  if (immutable().is_signed() && origin == nullptr) {
    return untrusted(fmt::format(
        "it was sealed by a host with the identity {}, which is not trusted here, or whose record "
        "had expired then; if you trust that host, run 'ckpt-seal host trust RECORD --as origin'",
        to_hex(immutable().origin)));
  }
  CKPTSEAL_TRY(hash_manifest());
  if (immutable().is_signed()) {
    const Digest digest = origin_digest_of(
        file_digest_of(header_.immutable_bytes, manifest_digest_), trailer_.evidence);
    if (!trailer_.signature.is_of(*origin, digest, immutable().created)) {
      return Error{Code::integrity,
                   "the signature of its origin does not fit: it is damaged or altered", 0};
    }
    origin_name_ = origin->name;
  }
  CKPTSEAL_TRY(verify_change(trust));
  return immutable().is_signed() ? SignatureState::good : SignatureState::unsigned_allowed;
}

// Else whoever stores the file could put slots there, and have them tried.
Status SealedFile::verify_change(const ReaderTrust& trust) {
  if (!header_.change) return {};
  const Digest& changer = header_.change->changer;
  if (all_zero(changer)) {
    if (trust.allow_unsigned) return {};
    return untrusted(
        "its recipients were changed by somebody who has not signed that; if you know who it was, "
        "say --allow-unsigned");
  }
  const TrustedOrigin* host = find_host(trust, changer, header_.change->time);
  if (host == nullptr) {
    return untrusted(fmt::format(
        "its recipients were changed by a host with the identity {}, which is not trusted here, or "
        "whose record had expired then; if you trust that host, run 'ckpt-seal host trust RECORD "
        "--as origin'",
        to_hex(changer)));
  }
  if (header_.change->signature.is_of(*host, header_.change_digest(), header_.change->time)) {
    changer_name_ = host->name;
    return {};
  }
  return Error{Code::integrity,
               "the signature of who changed its recipients does not fit: it is damaged or altered",
               0};
}

SlotStanding SealedFile::slot_standing(std::size_t index, const ReaderTrust& trust) const {
  const Slot& slot = header_.slots[index];
  const Digest digest = slot.digest();
  if (!slot.adder) {
    return listed_slots_.contains(digest) ? SlotStanding::vouched : SlotStanding::unlisted;
  }
  const SlotAdder& adder = *slot.adder;
  if (all_zero(adder.host)) {
    return trust.allow_unsigned ? SlotStanding::vouched : SlotStanding::untrusted;
  }
  const TrustedOrigin* host = find_host(trust, adder.host, adder.time);
  if (host == nullptr) return SlotStanding::untrusted;
  const Digest signed_digest = slot_signature_digest(header_.immutable_bytes, adder, digest);
  return adder.signature.is_of(*host, signed_digest, adder.time) ? SlotStanding::vouched
                                                                 : SlotStanding::forged;
}

Result<Bytes> SealedFile::read_page(std::uint64_t index) const {
  CKPTSEAL_ASSIGN(Bytes page, read_at(trailer_.manifest_offset + index * page_size, page_size));
  if (Sha256::of(page) != page_digests_[index]) {
    return Error{Code::integrity, "it changed while it was read", 0};
  }
  return page;
}

Error with_subject(const std::string& file, Error error) {
  error.message = fmt::format("{}: {}", file, error.message);
  if (error.message.back() == '.') return error;
  error.message += error.code == Code::integrity ? "; get another copy of it." : ".";
  return error;
}

}  // namespace ckptseal
