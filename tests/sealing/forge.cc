// SPDX-License-Identifier: Apache-2.0
//
// Works on whole files in memory; throws where the file is not what it was made as.
#include "forge.h"

#include <algorithm>
#include <stdexcept>

namespace ckptseal::test {
namespace {

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

HeaderBlock header_of(ByteView file) {
  const unsigned log2 = must(parse_preamble(file.first(block_size)));
  return must(HeaderBlock::parse(file.subspan(block_size, std::size_t{1} << log2)));
}

}  // namespace

Secret Forge::key_of(const HeaderBlock& header, const std::string& word) {
  const Identities identities = identities_for({word});
  return std::move(must(unlock_slot(header, identities)).data_key);
}

Forge::Forge(ByteView file, const std::string& word)
    : Forge(file, key_of(header_of(file), word), header_of(file)) {}

Forge::Forge(ByteView file, const Secret& data_key, HeaderBlock parsed)
    : header(std::move(parsed)), keys_(must(FileKeys::derive(data_key, header.immutable_bytes))) {
  const std::uint64_t start = header.immutable.data_start();
  trailer_ = must(Trailer::parse(file.last(block_size), file.size(), start));
  const ByteView data_view = file.subspan(start, trailer_.manifest_offset - start);
  data.assign(data_view.begin(), data_view.end());
  slots = serialize_slots(header.slots);
  Aead aead = must(Aead::make(cipher_of(suite()), keys_.manifest_key()));
  for (std::uint64_t p = 0; p < trailer_.page_count; ++p) {
    const ByteView page = file.subspan(trailer_.manifest_offset + p * page_size, page_size);
    Bytes plaintext(page.begin(), page.end() - 16);
    Tag tag{};
    std::copy(page.end() - 16, page.end(), tag.begin());
    const bool last = p + 1 == trailer_.page_count;
    if (!must(aead.decrypt(position_nonce(p, last), {}, plaintext, tag))) {
      throw std::runtime_error("a page does not decrypt");
    }
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

Bytes Forge::build(const DoubleOrigin* origin) const {
  return build(origin, [](std::size_t, Bytes&) {});
}

Bytes Forge::build(const DoubleOrigin* origin,
                   const std::function<void(std::size_t, Bytes&)>& change) const {
  const ImmutablePart& immutable = header.immutable;
  ByteWriter out;
  out.bytes(build_preamble(immutable.header_log2));
  ByteWriter block;
  block.bytes(as_bytes("CKSHEADR")).u64(header.generation);
  block.u32(static_cast<std::uint32_t>(header.immutable_bytes.size()))
      .u32(static_cast<std::uint32_t>(slots.size()))
      .bytes(header.immutable_bytes)
      .bytes(slots);
  block.bytes(hmac_sha256(keys_.header_key().view(), block.view()));
  block.zeros(immutable.header_size() - 32 - block.size());
  block.bytes(Sha256::of(block.view()));
  out.bytes(block.view()).bytes(block.view()).bytes(data);

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
  Trailer trailer = trailer_;
  trailer.manifest_offset = immutable.data_start() + data.size();
  trailer.page_count = pages.size();
  if (origin != nullptr) {
    trailer.signature =
        origin->sign(file_signature_digest(header.immutable_bytes, manifest.finish()));
  }
  return out.bytes(trailer.serialize()).take();
}

}  // namespace ckptseal::test
