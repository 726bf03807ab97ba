// SPDX-License-Identifier: Apache-2.0
//
// Works on whole files in memory; throws where the file is not what it was made as.
#include "forge.h"

#include <algorithm>
#include <stdexcept>

namespace ckptseal::test {
namespace {

HeaderBlock header_of(ByteView file) {
  const unsigned log2 = must(parse_preamble(file.first(block_size)));
  return must(HeaderBlock::parse(file.subspan(block_size, std::size_t{1} << log2)));
}

Secret key_of(const HeaderBlock& header, const std::string& word) {
  DoubleIdentity identity(word);
  for (const Slot& slot : header.slots) {
    auto key = must(identity.unwrap(slot.body, header.immutable.checkpoint()));
    if (key) return *std::move(key);
  }
  throw std::runtime_error("there is no slot for " + word);
}

Trailer trailer_of(ByteView file, std::uint64_t data_start) {
  const std::size_t size = must(Trailer::size_in(file.last(trailer_back_size)));
  return must(Trailer::parse(file.last(size), file.size(), data_start));
}

Bytes decrypted(Aead& aead, ByteView page, std::uint64_t index, bool last) {
  Bytes plaintext(page.begin(), page.end() - 16);
  Tag tag{};
  std::copy(page.end() - 16, page.end(), tag.begin());
  if (!must(aead.decrypt(position_nonce(index, last), {}, plaintext, tag))) {
    throw std::runtime_error("a page does not decrypt");
  }
  return plaintext;
}

}  // namespace

Forge::Forge(ByteView file, const std::string& word)
    : Forge(file, key_of(header_of(file), word), header_of(file)) {}

Forge::Forge(ByteView file, Secret data_key, HeaderBlock parsed)
    : header(std::move(parsed)),
      data_key_(std::move(data_key)),
      keys_(must(FileKeys::derive(data_key_, header.immutable_bytes))) {
  const std::uint64_t start = header.immutable.data_start();
  trailer = trailer_of(file, start);
  const ByteView data_view = file.subspan(start, trailer.manifest_offset - start);
  data.assign(data_view.begin(), data_view.end());
  Aead aead = must(Aead::make(cipher_of(suite()), keys_.manifest_key()));
  for (std::uint64_t p = 0; p < trailer.page_count; ++p) {
    const ByteView page = file.subspan(trailer.manifest_offset + p * page_size, page_size);
    const Bytes plaintext = decrypted(aead, page, p, p + 1 == trailer.page_count);
    pages.push_back(must(parse_page(plaintext, suite(), header.immutable.chunk_size())));
  }
}

void Forge::replace_chunk(std::uint32_t image, std::uint64_t index, bool last, Bytes plaintext,
                          ChunkEntry& entry) {
  ImageCipher cipher = must(ImageCipher::make(keys_, suite(), image));
  if (!cipher.encrypt(index, last, plaintext, entry).ok()) throw std::runtime_error("cipher");
  const std::uint64_t at = entry.offset - header.immutable.data_start();
  std::copy(plaintext.begin(), plaintext.end(), data.begin() + static_cast<std::ptrdiff_t>(at));
}

Slot Forge::slot_for(const std::string& word) const {
  return {must(DoubleRecipient(word).wrap(data_key_, header.immutable.checkpoint())), std::nullopt};
}

Slot Forge::slot_for(const std::string& word, const DoubleOrigin* adder, std::uint64_t generation,
                     Seconds time) const {
  Slot slot = slot_for(word);
  slot.adder = SlotAdder{{}, generation, time, {}};
  if (adder == nullptr) return slot;
  slot.adder->host = adder->identity();
  slot.adder->signature = FileSignature(
      adder->sign(slot_signature_digest(header.immutable_bytes, *slot.adder, slot.digest())));
  return slot;
}

void Forge::change_slots(const std::vector<Slot>& slots, std::uint64_t generation,
                         const DoubleOrigin* changer, Seconds time) {
  header.slots = slots;
  header.slot_bytes = serialize_slots(slots);
  header.generation = generation;
  sign_change(changer, time);
}

void Forge::sign_change(const DoubleOrigin* changer, Seconds time) {
  header.change = HeaderChange{{}, time, {}};
  if (changer == nullptr) return;
  header.change->changer = changer->identity();
  header.change->signature = FileSignature(changer->sign(header.change_digest()));
}

void Forge::set_immutable(const ImmutablePart& immutable) {
  header.immutable = immutable;
  header.immutable_bytes = immutable.serialize();
  keys_ = must(FileKeys::derive(data_key_, header.immutable_bytes));
}

Bytes Forge::build(const DoubleOrigin* origin) const {
  return build(origin, [](std::size_t, Bytes&) {});
}

Bytes Forge::build(const DoubleOrigin* origin,
                   const std::function<void(std::size_t, Bytes&)>& change) const {
  const ImmutablePart& immutable = header.immutable;
  const Bytes block = header_block();
  ByteWriter out;
  out.bytes(build_preamble(immutable.header_log2)).bytes(block).bytes(block).bytes(data);

  Aead aead = must(Aead::make(cipher_of(suite()), keys_.manifest_key()));
  Sha256 manifest;
  for (std::size_t p = 0; p < pages.size(); ++p) {
    Bytes page = serialize_page(pages[p], suite());
    change(p, page);
    const Tag tag = must(aead.encrypt(position_nonce(p, p + 1 == pages.size()), {}, page));
    page.insert(page.end(), tag.begin(), tag.end());
    manifest.update(page);
    out.bytes(page);
  }
  Trailer end = trailer;
  end.manifest_offset = immutable.data_start() + data.size();
  end.page_count = pages.size();
  if (origin != nullptr) {
    const Digest file = file_digest_of(header.immutable_bytes, manifest.finish());
    end.signature = FileSignature(origin->sign(origin_digest_of(file, end.evidence)));
  }
  return out.zeros(end.annex_size).bytes(end.serialize()).take();
}

Bytes with_header_copies(ByteView file, ByteView copy0, ByteView copy1) {
  Bytes out(file.begin(), file.end());
  std::copy(copy0.begin(), copy0.end(), out.begin() + block_size);
  std::copy(copy1.begin(), copy1.end(),
            out.begin() + static_cast<std::ptrdiff_t>(block_size + copy0.size()));
  return out;
}

}  // namespace ckptseal::test
