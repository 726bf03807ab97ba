// SPDX-License-Identifier: Apache-2.0
//
// FileWriter on one side, SealedFile and UnlockedFile on the other, memfds between.
#include "sample.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace ckptseal::test {

// The keystream of a cipher, which is fast enough for many chunks.
Bytes pattern(const std::string& label, std::size_t size) {
  Bytes out(size);
  Result<Secret> key = Secret::copy_of(Sha256::of(as_bytes(label)));
  if (!key.ok()) throw std::runtime_error(key.error().message);
  Result<Aead> aead = Aead::make(Cipher::chacha20_poly1305, key.value());
  if (!aead.ok() || !aead.value().encrypt({}, {}, out).ok()) throw std::runtime_error("cipher");
  return out;
}

UniqueFd memory_file(ByteView content) {
  UniqueFd fd(memfd_create("sample", MFD_CLOEXEC));
  if (!fd.valid() || !pwrite_full(fd.get(), content, 0).ok()) {
    throw std::runtime_error("no memory for a file");
  }
  return fd;
}

Bytes content_of(int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) throw std::runtime_error("cannot look at a file");
  Bytes out(static_cast<std::size_t>(info.st_size));
  const Result<std::size_t> size = pread_full(fd, out, 0);
  if (!size.ok() || size.value() != out.size()) throw std::runtime_error("cannot read a file");
  return out;
}

Status seal_to(const Sample& sample, int output_fd) {
  const UniqueFd spool = memory_file();
  SealOptions options;
  options.suite = sample.suite;
  options.content = sample.content;
  options.chunk_log2 = sample.chunk_log2;
  options.created = sample.created;
  if (sample.origin != nullptr) options.origin = sample.origin->identity();
  CKPTSEAL_ASSIGN(FileWriter writer,
                  FileWriter::start(output_fd, spool.get(), options,
                                    recipients_for(sample.words, sample.kind())));
  for (const auto& [name, content] : sample.images) {
    CKPTSEAL_ASSIGN(FileWriter::Image image, writer.add_image(name));
    for (ByteView rest = content; !rest.empty();) {
      const MutableByteView space = image.space();
      const std::size_t size = std::min({space.size(), rest.size(), std::size_t{40000}});
      std::copy_n(rest.begin(), size, space.begin());
      CKPTSEAL_TRY(image.put(size));
      rest = rest.subspan(size);
    }
    CKPTSEAL_TRY(image.finish());
  }
  return writer.finish([&](const Digest& digest) -> Result<EcdsaSignature> {
    if (sample.origin == nullptr) throw std::logic_error("an unsigned file is not signed");
    return sample.origin->sign(digest);
  });
}

Bytes seal(const Sample& sample) {
  const UniqueFd out = memory_file();
  if (const Status sealed = seal_to(sample, out.get()); !sealed.ok()) {
    throw std::runtime_error(sealed.error().message);
  }
  return content_of(out.get());
}

ReadSettings trusting(const DoubleOrigin& origin) { return trusting({&origin}); }

ReadSettings trusting(const std::vector<const DoubleOrigin*>& hosts) {
  ReadSettings settings;
  for (const DoubleOrigin* host : hosts) settings.origins.push_back(host->trusted());
  return settings;
}

ReadSettings unsigned_allowed() {
  ReadSettings settings;
  settings.allow_unsigned = true;
  return settings;
}

namespace {

Result<Bytes> read_whole_image(const UnlockedFile& file, const ImageInfo& image) {
  Bytes out;
  CKPTSEAL_ASSIGN(UnlockedFile::ImageReader reader, file.read_image(image));
  for (;;) {
    CKPTSEAL_ASSIGN(const MutableByteView chunk, reader.next());
    if (chunk.empty()) return out;
    out.insert(out.end(), chunk.begin(), chunk.end());
  }
}

}  // namespace

Result<Contents> read_sealed_with(int fd, const ReadSettings& settings,
                                  const Identities& identities) {
  CKPTSEAL_ASSIGN(SealedFile sealed, SealedFile::open(fd));
  CKPTSEAL_TRY(sealed.verify_origin(settings.trust()));
  Contents contents;
  SlotSearch search{identities, settings.trust(), std::nullopt, {}};
  search.warn = [&](const std::string& sentence) { contents.skipped.push_back(sentence); };
  CKPTSEAL_ASSIGN(const UnlockedSlot slot, find_slot(sealed, search));
  CKPTSEAL_ASSIGN(const UnlockedFile file, UnlockedFile::open(sealed, slot));
  contents.warnings = sealed.warnings();
  contents.origin_name = sealed.origin_name();
  contents.slot = slot.index;
  for (const ImageInfo& image : file.images()) {
    CKPTSEAL_ASSIGN(contents.images[image.name], read_whole_image(file, image));
  }
  return contents;
}

Result<Contents> read_sealed(int fd, const ReadSettings& settings) {
  return read_sealed_with(fd, settings, identities_for(settings.words));
}

Result<Contents> read_bytes(ByteView file, const ReadSettings& settings) {
  const UniqueFd fd = memory_file(file);
  return read_sealed(fd.get(), settings);
}

Status open_manifest(ByteView file, const ReadSettings& settings) {
  const UniqueFd fd = memory_file(file);
  const Identities identities = identities_for(settings.words);
  CKPTSEAL_ASSIGN(SealedFile sealed, SealedFile::open(fd.get()));
  CKPTSEAL_TRY(sealed.verify_origin(settings.trust()));
  CKPTSEAL_ASSIGN(const UnlockedSlot slot,
                  find_slot(sealed, {identities, settings.trust(), std::nullopt, {}}));
  const Result<UnlockedFile> unlocked = UnlockedFile::open(sealed, slot);
  return unlocked.ok() ? Status() : Status(unlocked.error());
}

}  // namespace ckptseal::test
