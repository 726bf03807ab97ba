// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Reading", steps 1 to 3, on a file that is made of the input: parts behind u16
// lengths are the fronts of preamble, both header copies and trailer (zeros and checksums are
// added), and between them stands the rest.
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "fuzz.h"
#include "sealing/sealed_file.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

Bytes file_of(ByteView input) {
  constexpr std::size_t header_size = std::size_t{1} << smallest_header_log2;
  ByteReader in(input);
  const auto part = [&in] { return in.view(in.u16()); };
  ByteWriter out;
  out.bytes(padded(part(), block_size));
  out.bytes(with_checksum(part(), header_size)).bytes(with_checksum(part(), header_size));
  const ByteView trailer = part();
  out.bytes(in.rest());
  out.zeros(round_to_blocks(out.size()) - out.size());
  out.zeros(trailer.empty() ? 0 : page_size);
  return out.bytes(with_checksum(trailer, block_size)).take();
}

void read(ByteView file) {
  const UniqueFd fd(memfd_create("file", MFD_CLOEXEC));
  require(fd.valid() && write_full(fd.get(), file).ok());
  Result<SealedFile> sealed = SealedFile::open(fd.get());
  if (!sealed.ok()) return;
  require(sealed.value().size() == file.size());
  require(sealed.value().trailer().signature.has_value() == sealed.value().immutable().is_signed());
  require(sealed.value().hash_manifest().ok());
  require(sealed.value().read_page(0).ok());
  TrustedOrigin origin;
  origin.identity = sealed.value().immutable().origin;
  origin.keys.resize(1);
  const Result<SignatureState> state = sealed.value().verify_origin({&origin, 1}, true);
  require(state.ok() != sealed.value().immutable().is_signed());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read({data, size});
  read(file_of({data, size}));
  return 0;
}
