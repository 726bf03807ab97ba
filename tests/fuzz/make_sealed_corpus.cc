// SPDX-License-Identifier: Apache-2.0
//
// Cuts sealed checkpoints into their parts.
#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "base/fd.h"
#include "corpus.h"
#include "keymgr/passphrase/passphrase.h"
#include "sealed_parts.h"
#include "sealing/unlocked_file.h"

namespace ckptseal::fuzz {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t largest_vector = std::size_t{4} << 20;

// As long as it must be: the targets put the zeros back.
ByteView without_zeros(ByteView bytes) {
  while (!bytes.empty() && bytes.back() == 0) bytes = bytes.first(bytes.size() - 1);
  return bytes;
}

// nullptr: none reads it.
const char* target_of(const SlotBody& slot) {
  switch (static_cast<SlotKind>(slot.kind)) {
    case SlotKind::tpm2:
      return "tpm_slot";
    case SlotKind::passphrase:
      return "passphrase_slot";
    case SlotKind::public_key:
      return "public_key_slot";
    case SlotKind::recovery:
      return "recovery_slot";
    case SlotKind::threshold:
      return "threshold_slot";
    case SlotKind::hybrid:
      return "hybrid_slot";
  }
  return nullptr;
}

void add_slots(const Corpus& corpus, const HeaderBlock& header) {
  corpus.add("slots", serialize_slots(header.slots));
  for (const Slot& slot : header.slots) {
    if (const char* target = target_of(slot.body)) corpus.add(target, slot.body.bytes);
  }
}

// The pages that decrypt, as pages that do not parse are wanted too.
void add_pages(const Corpus& corpus, const SealedFile& file, const Secret& data_key) {
  const ImmutablePart& immutable = file.immutable();
  Result<FileKeys> keys = FileKeys::derive(data_key, file.header().immutable_bytes);
  if (!keys.ok()) return;
  Result<Aead> aead = Aead::make(cipher_of(immutable.suite), keys.value().manifest_key());
  for (std::uint64_t p = 0; aead.ok() && p < file.trailer().page_count; ++p) {
    Result<Bytes> page = file.read_page(p);
    if (!page.ok()) return;
    Tag tag{};
    std::copy(page.value().end() - 16, page.value().end(), tag.begin());
    const MutableByteView plaintext = MutableByteView(page.value()).first(page_plaintext_size);
    const bool last = p + 1 == file.trailer().page_count;
    const Result<bool> fits = aead.value().decrypt(position_nonce(p, last), {}, plaintext, tag);
    if (!fits.ok() || !fits.value()) continue;
    ByteWriter input;
    input.u8(static_cast<std::uint8_t>(static_cast<unsigned>(immutable.suite) - 1 +
                                       4 * (immutable.chunk_log2 - smallest_chunk_log2)));
    corpus.add("manifest_page", input.bytes(without_zeros(plaintext)).view());
  }
}

void add_whole(const Corpus& corpus, int fd, Identity& identity) {
  Result<SealedFile> file = SealedFile::open(fd);
  if (!file.ok() || !file.value().hash_manifest().ok()) return;
  const HeaderBlock& header = file.value().header();
  for (const Slot& slot : header.slots) {
    Result<std::optional<Secret>> key = identity.unwrap(slot.body, header.immutable.checkpoint());
    if (!key.ok() || !key.value()) continue;
    add_pages(corpus, file.value(), *key.value());
    return;
  }
}

// The front of a trailer, and how many blocks it has. Signatures differ in all files and mean
// nothing here.
struct End {
  Bytes front;
  std::size_t blocks = 1;
};

End end_of(ByteView file) {
  const Result<std::uint32_t> size = Trailer::size_in(file.last(trailer_back_size));
  End out;
  if (size.ok() && size.value() <= file.size()) out.blocks = size.value() / block_size;
  const ByteView bytes = file.last(out.blocks * block_size);
  out.front.assign(bytes.begin(), bytes.end() - trailer_back_size);
  ByteReader in(out.front);
  in.view(28);
  const std::size_t signature_at = 32 + in.u32() + 4;
  if (signature_at + 64 < out.front.size()) {
    const auto signature = out.front.begin() + static_cast<std::ptrdiff_t>(signature_at);
    const bool is_signed = !all_zero(ByteView(out.front).subspan(signature_at, 64));
    if (is_signed) std::fill_n(signature, 64, std::uint8_t{0x77});
  }
  return out;
}

void add_trailer(const Corpus& corpus, std::uint64_t file_size, const End& end) {
  ByteWriter input;
  input.u64(file_size).u8(static_cast<std::uint8_t>(end.blocks - 1));
  corpus.add("trailer", input.bytes(without_zeros(end.front)).view());
}

void add_parts(const Corpus& corpus, std::initializer_list<ByteView> parts) {
  ByteWriter whole;
  for (const ByteView part : parts) {
    whole.u16(static_cast<std::uint16_t>(std::min<std::size_t>(part.size(), 0xffff))).bytes(part);
  }
  corpus.add("sealed_file", whole.view());
}

void add_file(const Corpus& corpus, const fs::path& path, Identity& identity) {
  const Result<Bytes> content = read_file(path.string(), largest_vector, path.string());
  if (!content.ok()) throw std::runtime_error(content.error().message);
  const ByteView file(content.value());
  if (file.size() < block_size + 2 * header_size + block_size) return;
  const ByteView preamble = without_zeros(file.first(block_size));
  ByteView copies[2];
  for (std::size_t i = 0; i < 2; ++i) {
    copies[i] = without_zeros(
        file.subspan(block_size + i * header_size, header_size).first(header_size - 32));
    corpus.add("header", copies[i]);
  }
  const End end = end_of(file);
  corpus.add("preamble", preamble);
  add_trailer(corpus, file.size(), end);
  add_parts(corpus, {preamble, copies[0], copies[1], without_zeros(end.front)});
  const Result<HeaderBlock> header = HeaderBlock::parse(file.subspan(block_size, header_size));
  if (header.ok()) {
    corpus.add("immutable_part", header.value().immutable_bytes);
    add_slots(corpus, header.value());
  }
  const Result<UniqueFd> fd = open_file(path.string(), O_RDONLY, path.string());
  if (fd.ok()) add_whole(corpus, fd.value().get(), identity);
}

// One trailer that fits the target's start of the data area with the smallest possible file, and
// a whole file of that kind, for the cut files of the vectors lack their pages; unsigned, and
// changed by nobody who signs.
void add_smallest_file(const Corpus& corpus) {
  const Secret key = std::move(Secret::copy_of(Bytes(32, 1))).value();
  const Slot slot{{2, Bytes(10, 2)}, std::nullopt};
  HeaderBlock header = first_header(ImmutablePart(), {slot}).value();
  Trailer trailer;
  trailer.manifest_offset = header.immutable.data_start();
  trailer.page_count = 1;
  const Bytes preamble = build_preamble(smallest_header_log2);
  const Bytes end = trailer.serialize();
  const ByteView front = without_zeros(ByteView(end).first(end.size() - trailer_back_size));
  for (const bool changed : {false, true}) {
    if (changed) {
      header.generation = 2;
      header.slots.push_back({{4, Bytes(10, 4)}, SlotAdder{{}, 2, 1, {}}});
      header.slot_bytes = serialize_slots(header.slots);
      header.change = HeaderChange{{}, 1, {}};
    }
    const Bytes block = header.serialize(key);
    const ByteView copy = without_zeros(ByteView(block).first(header_size - 32));
    add_parts(corpus, {without_zeros(preamble), copy, copy, front});
    corpus.add("header", copy);
  }
  add_trailer(corpus, trailer.manifest_offset + page_size + end.size(),
              {Bytes(front.begin(), front.end()), 1});
}

}  // namespace

std::size_t add_vectors(const Corpus& corpus, const fs::path& folder) {
  PassphraseIdentity identity(
      std::move(Secret::copy_of(as_bytes("correct horse battery staple"))).value(), 1 << 20);
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    // What is larger is so by what no parser looks into.
    if (entry.path().extension() != ".cks" || entry.file_size() > largest_vector) continue;
    add_file(corpus, entry.path(), identity);
    ++count;
  }
  add_smallest_file(corpus);
  return count;
}

}  // namespace ckptseal::fuzz
