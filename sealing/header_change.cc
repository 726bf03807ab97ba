// SPDX-License-Identifier: Apache-2.0
//
// The helper makes the new header, for that needs the data key; the parent writes it.
#include "sealing/header_change.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/fd.h"
#include "sealing/limits.h"
#include "sealing/report.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

Error usage(std::string clause) { return {Code::usage, std::move(clause), 0}; }

Result<std::vector<Slot>> without_removed(const std::vector<Slot>& slots,
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
  std::vector<Slot> out;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!removed[i]) out.push_back(slots[i]);
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

Status check_left(const std::vector<Slot>& slots, bool only_passphrases) {
  if (slots.empty()) {
    return usage(
        "no slot would be left, and nobody could open it; to destroy it use 'ckpt-seal shred'");
  }
  if (!only_passphrases && std::all_of(slots.begin(), slots.end(), is_passphrase)) {
    return usage(
        "only a passphrase would open it, and passphrases can be guessed; leave another slot, or "
        "say --only-passphrase");
  }
  return {};
}

Status check_room(const std::vector<Slot>& slots, const ImmutablePart& immutable) {
  if (fits_header(immutable, slots, immutable.header_size())) return {};
  return Error{Code::failed,
               fmt::format("its header has no room for {} slots; remove some, or open it and seal "
                           "the content anew",
                           slots.size()),
               0};
}

Status sign_slots(std::vector<Slot>& added, const RewrapJob& job, const HeaderBlock& header,
                  HelperChannel& channel) {
  for (Slot& slot : added) {
    slot.adder = SlotAdder{job.adder, header.generation + 1, {}};
    CKPTSEAL_ASSIGN(slot.adder->signature,
                    channel.sign(slot_signature_digest(header.immutable.id, slot.adder->generation,
                                                       slot.digest())));
  }
  return {};
}

void report_change(const SealedFile& file, std::uint64_t generation, const Bytes& block,
                   HelperReport& report) {
  proto::HeaderChange& change = *report.mutable_header_change();
  change.set_block(block.data(), block.size());
  // The one that opens the file goes last.
  for (const unsigned copy : {1 - file.chosen_copy(), file.chosen_copy()}) {
    change.add_offsets(block_size + copy * block.size());
  }
  report.set_generation(generation);
}

Result<HelperReport> rewrap(const RewrapJob& job, HelperChannel& channel) {
  const ReadJob& read = job.read;
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(read.sealed_fd));
  CKPTSEAL_ASSIGN(const SignatureState origin,
                  file.verify_origin(read.origins, read.allow_unsigned));
  if (origin == SignatureState::good) {
    CKPTSEAL_TRY(channel.authentic(file.immutable().id, file.immutable().origin));
  }
  const HeaderBlock& header = file.header();
  if (is_exclusive(header.immutable.suite)) {
    return usage(
        "it is exclusive, for one recipient for ever; open it and seal the content anew for "
        "others");
  }
  CKPTSEAL_ASSIGN(std::vector<Slot> slots, without_removed(header.slots, job.removals));
  CKPTSEAL_ASSIGN(const UnlockedSlot unlocked, find_key(file, read, channel));
  CKPTSEAL_TRY(channel.tpm_done());
  std::vector<Slot> added;
  if (job.recipients) {
    CKPTSEAL_ASSIGN(auto recipients, job.recipients());
    std::erase_if(recipients, [&](const auto& recipient) { return has_slot(*recipient, slots); });
    CKPTSEAL_ASSIGN(added,
                    make_slots(recipients, unlocked.data_key, header.immutable.checkpoint()));
  }
  CKPTSEAL_TRY(enter_sandbox());
  CKPTSEAL_ASSIGN(const UnlockedFile whole,
                  UnlockedFile::open(file, unlocked, read.origins, read.now));
  CKPTSEAL_TRY(sign_slots(added, job, header, channel));
  slots.insert(slots.end(), added.begin(), added.end());
  CKPTSEAL_TRY(check_left(slots, job.only_passphrases));
  CKPTSEAL_TRY(check_room(slots, header.immutable));

  const bool changed = !job.removals.empty() || !added.empty();
  const std::uint64_t generation = header.generation + (changed ? 1 : 0);
  HelperReport report = report_file(file);
  report.set_signature_verified(origin == SignatureState::good);
  report.set_opened_slot(static_cast<std::uint32_t>(unlocked.index));
  report_slots(slots, header.immutable.checkpoint(), report);
  if (changed || !file.warnings().empty()) {
    report_change(file, generation,
                  HeaderBlock::build(generation, header.immutable_bytes, slots,
                                     header.immutable.header_size(), whole.keys().header_key()),
                  report);
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
  const Result<SignatureState> origin = file.value().verify_origin(job.origins, true);
  if (!origin.ok() || origin.value() != SignatureState::good) return {};
  const ImmutablePart& immutable = file.value().immutable();
  return channel.authentic(immutable.id, immutable.origin);
}

Result<HelperReport> shred(const ShredJob& job, HelperChannel& channel) {
  const int fd = job.sealed_fd;
  CKPTSEAL_TRY(tell_what_it_was(job, channel));
  Bytes preamble(block_size);
  CKPTSEAL_ASSIGN(const std::size_t done, pread_full(fd, preamble, 0));
  preamble.resize(done);
  CKPTSEAL_ASSIGN(const unsigned log2, parse_preamble(preamble));
  const std::size_t size = std::size_t{1} << log2;
  for (unsigned copy = 0; copy < 2 && !job.dry_run; ++copy) {
    Bytes noise(size);
    CKPTSEAL_TRY(fill_random(noise));
    CKPTSEAL_TRY(write_and_sync(fd, noise, block_size + copy * size));
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
