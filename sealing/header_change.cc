// SPDX-License-Identifier: Apache-2.0
//
// The helper makes the new header, for that needs the data key; the parent writes it.
#include "sealing/header_change.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "keymgr/threshold/mixture.h"
#include "sealing/limits.h"
#include "sealing/report.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

Error usage(std::string clause) { return {Code::usage, std::move(clause), 0}; }

// The slots that stay; `usable` are those of them that are tried by who trusts the same hosts.
struct Staying {
  std::vector<Slot> slots;
  std::vector<Slot> usable;
};

Result<std::vector<bool>> find_removed(const std::vector<Slot>& slots,
                                       const std::vector<SlotRemoval>& removals) {
  std::vector<bool> removed(slots.size());
  for (const SlotRemoval& removal : removals) {
    bool found = false;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      CKPTSEAL_ASSIGN(const bool matches, removal.matches(i, slots[i].body));
      if (!matches) continue;
      removed[i] = true;
      found = true;
    }
    if (!found) {
      return usage(fmt::format("it has no slot {} to remove; 'ckpt-seal inspect' shows its slots",
                               removal.name));
    }
  }
  return removed;
}

// One that no reader would use goes, and that is said. Of another, somebody else may know the adder
// or that key.
Result<Staying> without_removed(const SealedFile& file, const RewrapJob& job,
                                HelperChannel& channel) {
  const std::vector<Slot>& slots = file.header().slots;
  CKPTSEAL_ASSIGN(const std::vector<bool> removed, find_removed(slots, job.removals));
  Staying out;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (removed[i]) continue;
    const SlotStanding standing = file.slot_standing(i, job.read.trust());
    if (standing == SlotStanding::unlisted) {
      CKPTSEAL_TRY(channel.warn(
          fmt::format("its slot {} was put there by nobody who may, and does not stay", i)));
      continue;
    }
    if (standing == SlotStanding::forged) {
      CKPTSEAL_TRY(channel.warn(
          fmt::format("its slot {} stays, though the signature of who added it holds by no key "
                      "that is known here; if nobody needs it, say --remove {}",
                      i, i)));
    }
    out.slots.push_back(slots[i]);
    if (standing == SlotStanding::vouched) out.usable.push_back(slots[i]);
  }
  return out;
}

bool has_slot(const Recipient& recipient, const std::vector<Slot>& slots) {
  return std::any_of(slots.begin(), slots.end(),
                     [&](const Slot& slot) { return recipient.owns(slot.body); });
}

bool is_passphrase(const Slot& slot) {
  return slot.body.kind == static_cast<std::uint16_t>(SlotKind::passphrase);
}

// Of the slots that are tried.
Status check_left(const std::vector<Slot>& slots, bool only_passphrases) {
  if (slots.empty()) {
    return usage(
        "no slot would be left that anybody could open it by who trusts the same hosts; to destroy "
        "it "
        "use 'ckpt-seal shred'");
  }
  if (!only_passphrases && std::all_of(slots.begin(), slots.end(), is_passphrase)) {
    return usage(
        "only a passphrase would open it, and passphrases can be guessed; leave another slot, or "
        "say --only-passphrase");
  }
  return {};
}

// Of what is added; what stood there already was allowed then.
Status check_kinds(const std::vector<Slot>& slots, bool adds, const RewrapJob& job) {
  if (!adds || job.mix_classical) return {};
  std::vector<std::uint16_t> kinds;
  for (const Slot& slot : slots) {
    const std::vector<std::uint16_t> more = kinds_in(slot.body);
    kinds.insert(kinds.end(), more.begin(), more.end());
  }
  return check_mixture(kinds);
}

Status check_room(const HeaderBlock& header) {
  if (header.fits(header.immutable.header_size())) return {};
  return Error{Code::failed,
               fmt::format("its header has no room for {} slots; remove some, or open it and seal "
                           "the content anew",
                           header.slots.size()),
               0};
}

// Before anything is asked for: who cannot sign makes a header that few accept, and a generation
// behind the last one is none.
Status check_changeable(const RewrapJob& job, const HeaderBlock& header) {
  if (header.generation == largest_generation) {
    return Error{Code::failed,
                 "it was changed as often as a file can be; open it and seal the content anew", 0};
  }
  if (!all_zero(job.host) || job.allow_unsigned || !header.immutable.is_signed()) return {};
  return usage(
      "this host cannot sign the change, for it is not provisioned or its record has expired, and "
      "only those would open the file then who say --allow-unsigned; run 'ckpt-seal provision' "
      "first, or say --unsigned");
}

Status sign_slots(std::vector<Slot>& added, const RewrapJob& job, const HeaderBlock& header,
                  HelperChannel& channel) {
  for (Slot& slot : added) {
    slot.adder = SlotAdder{job.host, header.generation, job.now, {}};
    if (all_zero(job.host)) continue;
    CKPTSEAL_ASSIGN(
        const EcdsaSignature signature,
        channel.sign(slot_signature_digest(header.immutable_bytes, *slot.adder, slot.digest())));
    slot.adder->signature = FileSignature(signature);
  }
  return {};
}

// docs/format.md, "Changing the slots".
Status sign_change(HeaderBlock& header, const RewrapJob& job, HelperChannel& channel) {
  header.change = HeaderChange{job.host, job.now, {}};
  if (all_zero(job.host)) return {};
  CKPTSEAL_ASSIGN(const EcdsaSignature signature, channel.sign(header.change_digest()));
  header.change->signature = FileSignature(signature);
  return {};
}

void report_change(const SealedFile& file, const Bytes& block, HelperReport& report) {
  proto::HeaderChange& change = *report.mutable_header_change();
  change.set_block(block.data(), block.size());
  // The one that opens the file goes last.
  for (const unsigned copy : {1 - file.chosen_copy(), file.chosen_copy()}) {
    change.add_offsets(block_size + copy * block.size());
  }
}

Result<std::vector<Slot>> make_added(const RewrapJob& job, const std::vector<Slot>& slots,
                                     const UnlockedSlot& unlocked, const Checkpoint& of) {
  if (!job.recipients) return std::vector<Slot>();
  CKPTSEAL_ASSIGN(auto recipients, job.recipients());
  std::erase_if(recipients, [&](const auto& recipient) { return has_slot(*recipient, slots); });
  return make_slots(recipients, unlocked.data_key, of);
}

Result<SealedFile> open_to_change(const RewrapJob& job, HelperChannel& channel,
                                  HelperReport& report) {
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(job.read.sealed_fd));
  CKPTSEAL_ASSIGN(const SignatureState origin, file.verify_origin(job.read.trust()));
  if (origin == SignatureState::good) {
    CKPTSEAL_TRY(channel.authentic(file.immutable().id, file.immutable().origin));
  }
  if (is_exclusive(file.immutable().suite)) {
    return usage(
        "it is exclusive, for one recipient for ever; open it and seal the content anew for "
        "others");
  }
  report = report_file(file);
  report.set_signature_verified(origin == SignatureState::good);
  return file;
}

Result<HelperReport> rewrap(const RewrapJob& job, HelperChannel& channel) {
  HelperReport report;
  CKPTSEAL_ASSIGN(const SealedFile file, open_to_change(job, channel, report));
  HeaderBlock header = file.header();
  CKPTSEAL_ASSIGN(Staying staying, without_removed(file, job, channel));
  const bool asked = job.recipients || staying.slots.size() != header.slots.size();
  if (asked) CKPTSEAL_TRY(check_changeable(job, header));
  // What needs no key is said before any is asked for.
  if (!job.recipients) CKPTSEAL_TRY(check_left(staying.usable, job.only_passphrases));
  CKPTSEAL_ASSIGN(const UnlockedSlot unlocked, find_key(file, job.read, channel));
  CKPTSEAL_TRY(channel.tpm_done());
  CKPTSEAL_ASSIGN(std::vector<Slot> added,
                  make_added(job, staying.usable, unlocked, header.immutable.checkpoint()));
  CKPTSEAL_TRY(enter_sandbox());
  CKPTSEAL_ASSIGN(const UnlockedFile whole, UnlockedFile::open(file, unlocked));

  const bool changed = staying.slots.size() != header.slots.size() || !added.empty();
  if (changed) {
    ++header.generation;
    CKPTSEAL_TRY(sign_slots(added, job, header, channel));
    header.slots = std::move(staying.slots);
    header.slots.insert(header.slots.end(), added.begin(), added.end());
    header.slot_bytes = serialize_slots(header.slots);
    CKPTSEAL_TRY(sign_change(header, job, channel));
  }
  staying.usable.insert(staying.usable.end(), added.begin(), added.end());
  CKPTSEAL_TRY(check_left(staying.usable, job.only_passphrases));
  CKPTSEAL_TRY(check_kinds(header.slots, !added.empty(), job));
  CKPTSEAL_TRY(check_room(header));
  if (job.announce) CKPTSEAL_TRY(job.announce());
  report.set_opened_slot(static_cast<std::uint32_t>(unlocked.index));
  report.set_generation(header.generation);
  report.set_slot_count(static_cast<std::uint32_t>(header.slots.size()));
  if (changed || !file.warnings().empty()) {
    report_change(file, header.serialize(whole.keys().header_key()), report);
    report.mutable_header_change()->set_new_slots(changed);
  }
  return report;
}

Status write_and_sync(int fd, ByteView bytes, std::uint64_t offset) {
  CKPTSEAL_TRY(pwrite_full(fd, bytes, offset));
  if (fsync(fd) == 0) return {};
  return system_error("Cannot write", errno);
}

// What is damaged, unsigned or of somebody else is destroyed all the same.
Status tell_what_it_was(const ShredJob& job, HelperChannel& channel) {
  Result<SealedFile> file = SealedFile::open(job.sealed_fd);
  if (!file.ok()) return {};
  const Result<SignatureState> origin = file.value().verify_origin({job.origins, true});
  if (!origin.ok() || origin.value() != SignatureState::good) return {};
  const ImmutablePart& immutable = file.value().immutable();
  return channel.authentic(immutable.id, immutable.origin);
}

// What stands there; fewer bytes where the file ends before.
Result<Bytes> read_there(int fd, std::uint64_t offset, std::size_t size) {
  Bytes out(size);
  CKPTSEAL_ASSIGN(const std::size_t done, pread_full(fd, out, offset));
  out.resize(done);
  return out;
}

Result<bool> has_sound_copy(int fd, std::size_t size) {
  for (unsigned copy = 0; copy < 2; ++copy) {
    CKPTSEAL_ASSIGN(const Bytes block, read_there(fd, block_size + copy * size, size));
    if (block.size() == size && HeaderBlock::parse(block).ok()) return true;
  }
  return false;
}

// Whatever its preamble says: a copy, perhaps a damaged one, where one of any size would be.
Result<bool> has_trace_of_copy(int fd) {
  std::vector<std::uint64_t> places = {block_size};
  for (unsigned log2 = smallest_header_log2; log2 <= largest_header_log2; ++log2) {
    places.push_back(block_size + (std::uint64_t{1} << log2));
  }
  for (const std::uint64_t place : places) {
    CKPTSEAL_ASSIGN(const Bytes front, read_there(fd, place, header_front_size + 2));
    if (begins_header_copy(front)) return true;
  }
  return false;
}

// How large the copies are that have to go. docs/format.md, "Destroying the slots".
Result<std::size_t> size_to_destroy(int fd, HelperChannel& channel) {
  CKPTSEAL_ASSIGN(const Bytes preamble, read_there(fd, 0, block_size));
  const Result<unsigned> log2 = parse_preamble(preamble);
  if (log2.ok()) {
    const std::size_t size = std::size_t{1} << log2.value();
    CKPTSEAL_ASSIGN(const bool sound, has_sound_copy(fd, size));
    if (sound) return size;
  } else {
    CKPTSEAL_ASSIGN(const bool trace, has_trace_of_copy(fd));
    if (!trace) {
      return Error{log2.error().code,
                   fmt::format("{}, and it has no header copy either, so nothing of it is "
                               "destroyed; if it was a sealed file, delete it.",
                               log2.error().message),
                   0};
    }
  }
  CKPTSEAL_TRY(
      channel.warn("none of its header copies is whole where it says that they are, so all of its "
                   "first 8 MiB goes, where they could be"));
  return std::size_t{1} << largest_header_log2;
}

Result<HelperReport> shred(const ShredJob& job, HelperChannel& channel) {
  const int fd = job.sealed_fd;
  CKPTSEAL_TRY(tell_what_it_was(job, channel));
  CKPTSEAL_ASSIGN(const std::size_t size, size_to_destroy(fd, channel));
  for (unsigned copy = 0; copy < 2 && !job.dry_run; ++copy) {
    const std::uint64_t offset = block_size + copy * size;
    CKPTSEAL_ASSIGN(Bytes noise, read_there(fd, offset, size));
    if (noise.empty()) break;
    CKPTSEAL_TRY(fill_random(noise));
    CKPTSEAL_TRY(write_and_sync(fd, noise, offset));
  }
  return HelperReport();
}

}  // namespace

Result<HelperReport> rewrap_in_helper(const RewrapJob& job, const HelperEvents& events) {
  std::vector<int> descriptors = job.read.descriptors;
  descriptors.push_back(job.read.sealed_fd);
  return run_in_helper(
      descriptors, [&](HelperChannel& channel) { return rewrap(job, channel); }, events);
}

Status write_header(int fd, const proto::HeaderChange& change) {
  for (const std::uint64_t offset : change.offsets()) {
    CKPTSEAL_TRY(write_and_sync(fd, as_bytes(change.block()), offset));
  }
  return {};
}

Status shred_in_helper(const ShredJob& job, const HelperEvents& events) {
  const std::vector<int> descriptors = {job.sealed_fd};
  const Result<HelperReport> done = run_in_helper(
      descriptors, [&](HelperChannel& channel) { return shred(job, channel); }, events);
  return done.ok() ? Status() : Status(done.error());
}

}  // namespace ckptseal
