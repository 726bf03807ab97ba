// SPDX-License-Identifier: Apache-2.0
//
// What is measured of EFI images, and that damaged ones are refused. Real images are compared with
// what firmware measured in event_logs/ when those logs are made.
#include "policies/pe_image.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "pe_file.h"
#include "policies/event_text.h"
#include "policies/unified_image.h"

namespace ckptseal {
namespace {

using test::fake_kernel;
using test::fake_unified_image;
using test::PeFile;

// The image hash by its definition: the file without checksum, entry of the certificate table and
// certificates.
Digest hash_without(const PeFile& file) {
  Bytes bytes = file.bytes();
  const auto erase = [&](std::size_t at, std::size_t size) {
    bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
  };
  erase(bytes.size() - file.certificates.size(), file.certificates.size());
  erase(PeFile::certificate_entry_at, 8);
  erase(PeFile::checksum_at, 4);
  return Sha256::of(bytes);
}

void expect_refused(const Bytes& file, const std::string& what) {
  const Result<PeImage> image = PeImage::parse(file);
  ASSERT_FALSE(image.ok()) << what;
  EXPECT_EQ(image.error().code, Code::integrity) << what;
  EXPECT_EQ(image.error().message.back(), '.') << what;
}

Bytes with(std::size_t at, std::uint64_t value, std::size_t width) {
  PeFile file;
  file.sections.emplace_back(".data", "data");
  file.certificates = Bytes(16, 0xcc);
  Bytes out = file.bytes();
  PeFile::put(out, at, value, width);
  return out;
}

TEST(PeImageTest, HashesAllButChecksumAndSignatures) {
  PeFile file;
  file.sections.emplace_back(".data", std::string(1000, 'd'));
  const Bytes plain = file.bytes();
  const Digest digest = PeImage::parse(plain).value().authenticode();
  EXPECT_EQ(digest, hash_without(file));
  file.certificates = Bytes(24, 0xcc);
  const Bytes signed_file = file.bytes();
  EXPECT_EQ(PeImage::parse(signed_file).value().authenticode(), digest);
  file.tail = Bytes(8, 't');
  const Bytes longer = file.bytes();
  EXPECT_EQ(PeImage::parse(longer).value().authenticode(), hash_without(file));
  EXPECT_NE(PeImage::parse(longer).value().authenticode(), digest);
}

TEST(PeImageTest, EveryMeasuredByteCounts) {
  PeFile file;
  file.certificates = Bytes(16, 0xcc);
  const Bytes whole = file.bytes();
  const Digest digest = PeImage::parse(whole).value().authenticode();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Bytes flipped = whole;
    flipped[at] ^= 0x10;
    const Result<PeImage> image = PeImage::parse(flipped);
    if (!image.ok()) continue;
    const bool left_out = (at >= PeFile::checksum_at && at < PeFile::checksum_at + 4) ||
                          at >= whole.size() - file.certificates.size();
    EXPECT_EQ(image.value().authenticode() == digest, left_out) << at;
  }
}

TEST(PeImageTest, ACutImageIsRefused) {
  PeFile file;
  file.certificates = Bytes(16, 0xcc);
  const Bytes whole = file.bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    expect_refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)),
                   std::to_string(size));
  }
}

TEST(PeImageTest, HeadersAreExact) {
  EXPECT_TRUE(PeImage::parse(with(PeFile::checksum_at, 1, 4)).ok());
  const std::size_t optional = PeFile::optional_at;
  const std::size_t sections = PeFile::sections_at;
  expect_refused(with(0, 'X', 1), "MZ");
  expect_refused(with(0x3c, 0xffffffff, 4), "PE offset");
  expect_refused(with(0x3c, 0, 4), "PE offset of the start");
  expect_refused(with(PeFile::pe_at, 'X', 1), "PE");
  expect_refused(with(PeFile::pe_at + 6, 0, 2), "no sections");
  expect_refused(with(PeFile::pe_at + 6, 97, 2), "many sections");
  expect_refused(with(PeFile::pe_at + 6, 0xffff, 2), "absurd sections");
  expect_refused(with(PeFile::pe_at + 20, 0xffff, 2), "optional header's size");
  expect_refused(with(PeFile::pe_at + 20, 0, 2), "no optional header");
  expect_refused(with(optional, 0x107, 2), "optional header's magic");
  expect_refused(with(optional + 60, 0xffffffff, 4), "headers' size");
  expect_refused(with(optional + 60, 64, 4), "headers' size, small");
  expect_refused(with(optional + 108, 15, 4), "directories");
  expect_refused(with(optional + 108, 0xffffffff, 4), "absurd directories");
  expect_refused(with(PeFile::certificate_entry_at, 0xffffffff, 4), "certificates elsewhere");
  expect_refused(with(PeFile::certificate_entry_at + 4, 8, 4), "certificates not at the end");
  expect_refused(with(PeFile::certificate_entry_at + 4, 0xffffffff, 4), "absurd certificates");
  expect_refused(with(sections + 6, 'x', 1), "a name behind its end");
  expect_refused(with(sections + 16, 1024, 4), "sections overlap");
  expect_refused(with(sections + 16, 0xfffffe00, 4), "absurd section");
  expect_refused(with(sections + 20, 1024, 4), "section elsewhere");
  expect_refused(with(sections + 40 + 20, 4096, 4), "gap");
}

TEST(PeImageTest, SectionsAreWithoutPadding) {
  const Bytes file = PeFile().bytes();
  const Result<PeImage> image = PeImage::parse(file);
  EXPECT_EQ(as_text(image.value().find(".text")->content), "code");
  EXPECT_EQ(image.value().find(".data"), nullptr);
  PeFile twice;
  twice.sections.emplace_back(".text", "more");
  const Bytes second = twice.bytes();
  EXPECT_EQ(PeImage::parse(second).value().find(".text"), nullptr);
}

TEST(UnifiedImageTest, MeasuresInTheStubsOrder) {
  PeFile file = fake_unified_image();
  const Result<UnifiedImage> image = UnifiedImage::measure(file.bytes());
  ASSERT_TRUE(image.ok()) << image.error().message;
  const auto digest = [](std::string_view text) { return Sha256::of(as_bytes(text)); };
  const std::string kernel = fake_kernel("6.1.0-56-cloud-amd64");
  const std::vector<std::pair<std::string, Digest>> expected = {{".linux", digest(kernel)},
                                                                {".osrel", digest("ID=test")},
                                                                {".cmdline", digest("quiet")},
                                                                {".initrd", digest("initrd")}};
  EXPECT_EQ(image.value().sections, expected);
  EXPECT_EQ(image.value().image, PeImage::parse(file.bytes()).value().authenticode());
  EXPECT_EQ(image.value().kernel, PeImage::parse(as_bytes(kernel)).value().authenticode());
  EXPECT_EQ(image.value().initrd, digest("initrd"));
  EXPECT_EQ(image.value().options, Sha256::of(utf16_of_ascii("quiet")));
  EXPECT_EQ(image.value().kernel_version, std::make_pair(6U, 1U));
}

TEST(UnifiedImageTest, LaterStubsMeasureMore) {
  const Result<UnifiedImage> image =
      UnifiedImage::measure(fake_unified_image("257.13-1~deb13u1").bytes());
  ASSERT_TRUE(image.ok());
  EXPECT_TRUE(image.value().has(".sbat"));
  EXPECT_FALSE(image.value().initrd.has_value());  // it adds to it
  for (const char* version : {"251", "253", "258.1", "2520", "", "x"}) {
    const Result<UnifiedImage> other = UnifiedImage::measure(fake_unified_image(version).bytes());
    ASSERT_FALSE(other.ok()) << version;
    EXPECT_EQ(other.error().code, Code::failed);
  }
}

TEST(UnifiedImageTest, WhatTheStubWouldChangeHasNoDigest) {
  for (const char* line : {"quiet ", " quiet", "quiet\n", "", "caf\xc3\xa9"}) {
    PeFile file = fake_unified_image();
    file.sections[5].second = line;
    const Result<UnifiedImage> image = UnifiedImage::measure(file.bytes());
    ASSERT_TRUE(image.ok()) << line;
    EXPECT_FALSE(image.value().options.has_value()) << line;
  }
  for (const char* name : {".pcrsig", ".pcrpkey"}) {
    PeFile file = fake_unified_image();
    file.sections.emplace_back(name, "content");
    const Result<UnifiedImage> image = UnifiedImage::measure(file.bytes());
    ASSERT_TRUE(image.ok()) << name;
    EXPECT_FALSE(image.value().initrd.has_value()) << name;
    EXPECT_EQ(image.value().has(name), std::string_view(name) == ".pcrpkey");
  }
}

TEST(UnifiedImageTest, OthersAreRefused) {
  const auto refused = [](const PeFile& file) {
    const Result<UnifiedImage> image = UnifiedImage::measure(file.bytes());
    return !image.ok() && image.error().code == Code::integrity &&
           image.error().message.back() == '.';
  };
  EXPECT_TRUE(refused(PeFile()));
  for (const char* more :
       {".linux", ".initrd", ".osrel", ".profile", ".dtbauto", ".hwids", ".efifw"}) {
    PeFile file = fake_unified_image();
    file.sections.emplace_back(more, "content");
    EXPECT_TRUE(refused(file)) << more;
  }
  PeFile no_kernel = fake_unified_image();
  no_kernel.sections.back().second = "no image";
  EXPECT_TRUE(refused(no_kernel));
  PeFile no_version = fake_unified_image();
  no_version.sections.back().second = fake_kernel("six");
  EXPECT_TRUE(refused(no_version));
  // Longer in memory than in the file.
  Bytes longer = fake_unified_image().bytes();
  PeFile::put(longer, PeFile::sections_at + 4 * 40 + 8, 4096, 4);
  EXPECT_FALSE(UnifiedImage::measure(longer).ok());
}

}  // namespace
}  // namespace ckptseal
