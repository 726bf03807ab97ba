// SPDX-License-Identifier: Apache-2.0
//
// docs/format.md, "Reading", steps 1 to 3, and who vouches for the slots, on a file that is made of
// the input: parts behind u16 lengths are the fronts of preamble, both header copies and trailer
// (what no fuzzer guesses is put right), and between them stands the rest.
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "sealed_parts.h"
#include "sealing/slot_search.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

Bytes file_of(ByteView input) {
  ByteReader in(input);
  const auto part = [&in] { return in.view(in.u16()); };
  ByteWriter out;
  out.bytes(padded(part(), block_size));
  out.bytes(header_copy(part())).bytes(header_copy(part()));
  const ByteView trailer = part();
  out.bytes(in.rest());
  out.zeros(round_to_blocks(out.size()) - out.size());
  out.zeros(trailer.empty() ? 0 : page_size);
  return out.bytes(trailer_of(trailer, 1)).take();
}

// Opens nothing, and sees that nothing forged is shown to it.
class Watcher : public Identity {
 public:
  Watcher(const SealedFile& file, const ReaderTrust& trust) : file_(file), trust_(trust) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint&) override {
    bool vouched = false;
    for (std::size_t i = 0; i < file_.header().slots.size(); ++i) {
      const bool is_this = &file_.header().slots[i].body == &slot;
      if (is_this) vouched = file_.slot_standing(i, trust_) == SlotStanding::vouched;
    }
    require(vouched);
    return std::optional<Secret>();
  }

 private:
  const SealedFile& file_;
  ReaderTrust trust_;
};

void search_slots(const SealedFile& file, const ReaderTrust& trust) {
  std::vector<std::unique_ptr<Identity>> identities;
  identities.push_back(std::make_unique<Watcher>(file, trust));
  const Result<UnlockedSlot> slot = find_slot(file, {identities, trust, std::nullopt, {}});
  require(!slot.ok());
  const Code code = slot.error().code;
  require(code == Code::no_slot || code == Code::integrity || code == Code::untrusted);
}

void read(ByteView file) {
  const UniqueFd fd(memfd_create("file", MFD_CLOEXEC));
  require(fd.valid() && write_full(fd.get(), file).ok());
  Result<SealedFile> opened = SealedFile::open(fd.get());
  if (!opened.ok()) return;
  SealedFile& sealed = opened.value();
  require(sealed.size() == file.size());
  require(sealed.trailer().signature.is_none() != sealed.immutable().is_signed());
  require(sealed.hash_manifest().ok());
  require(sealed.read_page(0).ok());
  TrustedOrigin origin{sealed.immutable().origin, "host", {{}}};
  const ReaderTrust trust{{&origin, 1}, true};
  const Result<SignatureState> state = sealed.verify_origin(trust);
  const auto& change = sealed.header().change;
  const bool says_who = sealed.immutable().is_signed() || (change && !all_zero(change->changer));
  require(state.ok() != says_who);
  search_slots(sealed, trust);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read({data, size});
  read(file_of({data, size}));
  return 0;
}
