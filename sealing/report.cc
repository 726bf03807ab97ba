// SPDX-License-Identifier: Apache-2.0
//
// Fills the report message, also with what the slots of known kinds say of themselves.
#include "sealing/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "keymgr/passphrase/passphrase.h"
#include "keymgr/public_key/hybrid_slot.h"
#include "keymgr/public_key/slot.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/threshold.h"
#include "keymgr/tpm2/slot.h"

namespace ckptseal {
namespace {

constexpr std::size_t most_reported_images = 1000;
constexpr std::size_t most_reported_slots = 4096;  // shares counted

template <typename Container>
std::string text(const Container& bytes) {
  return {bytes.begin(), bytes.end()};
}

void describe_tpm2(const SlotBody& body, const Checkpoint& of, proto::SlotReport& out) {
  const Result<Tpm2Slot> slot = Tpm2Slot::parse(body.bytes, of);
  out.set_damaged(!slot.ok());
  if (!slot.ok()) return;
  out.set_recipient(text(slot.value().recipient));
  out.set_storage_parent(text(slot.value().parent));
  out.set_policy(text(slot.value().policy.serialize()));
}

void describe_passphrase(const SlotBody& body, proto::SlotReport& out) {
  const Result<PassphraseSlot> slot = PassphraseSlot::parse(body.bytes);
  out.set_damaged(!slot.ok());
  if (!slot.ok()) return;
  out.set_memory_kib(slot.value().cost.memory_kib);
  out.set_passes(slot.value().cost.passes);
  out.set_lanes(slot.value().cost.lanes);
}

void describe_public_key(const SlotBody& body, proto::SlotReport& out) {
  const Result<PublicKeySlot> slot = PublicKeySlot::parse(body.bytes);
  out.set_damaged(!slot.ok());
  if (!slot.ok()) return;
  out.set_algorithm(static_cast<std::uint32_t>(slot.value().algorithm));
  out.set_source(static_cast<std::uint32_t>(slot.value().source));
  out.set_key_id(text(slot.value().key_id));
  if (slot.value().source == KeySource::certificate) {
    out.set_certificate(text(slot.value().certificate));
  }
  out.set_label(slot.value().label);
}

void describe_recovery(const SlotBody& body, proto::SlotReport& out) {
  const Result<RecoverySlot> slot = RecoverySlot::parse(body.bytes);
  out.set_damaged(!slot.ok());
  if (slot.ok()) out.set_recovery_id(text(slot.value().id));
}

void describe_hybrid(const SlotBody& body, proto::SlotReport& out) {
  const Result<HybridSlot> slot = HybridSlot::parse(body.bytes);
  out.set_damaged(!slot.ok());
  if (!slot.ok()) return;
  out.set_key_id(text(slot.value().key_id));
  out.set_label(slot.value().label);
}

void describe(const SlotBody& body, const Checkpoint& of, proto::SlotReport& out);

void describe_threshold(const SlotBody& body, const Checkpoint& of, proto::SlotReport& out) {
  const Result<ThresholdSlot> slot = ThresholdSlot::parse(body.bytes);
  out.set_damaged(!slot.ok());
  if (!slot.ok()) return;
  out.set_needed(slot.value().needed);
  for (const SlotBody& share : slot.value().shares) describe(share, of, *out.add_shares());
}

void describe(const SlotBody& body, const Checkpoint& of, proto::SlotReport& out) {
  out.set_kind(body.kind);
  switch (static_cast<SlotKind>(body.kind)) {
    case SlotKind::tpm2:
      return describe_tpm2(body, of, out);
    case SlotKind::passphrase:
      return describe_passphrase(body, out);
    case SlotKind::public_key:
      return describe_public_key(body, out);
    case SlotKind::recovery:
      return describe_recovery(body, out);
    case SlotKind::threshold:
      return describe_threshold(body, of, out);
    case SlotKind::hybrid:
      return describe_hybrid(body, out);
  }
}

void report_change(const HeaderBlock& header, HelperReport& report) {
  if (header.change) report.set_changer(text(header.change->changer));
}

// Empty when it is all zero.
std::string name_of(const Digest& identity, const ReaderTrust& trust) {
  const auto found =
      std::find_if(trust.hosts.begin(), trust.hosts.end(),
                   [&](const TrustedOrigin& host) { return host.identity == identity; });
  return found == trust.hosts.end() ? "" : found->name;
}

// Of a file that was not verified nobody knows who vouches for what.
void describe_adder(const SealedFile& file, std::size_t index, const ReaderTrust& trust,
                    proto::SlotReport& out) {
  const std::optional<SlotAdder>& adder = file.header().slots[index].adder;
  if (adder) out.set_adder(text(adder->host));
  const bool known =
      file.origin_verified() || (!file.immutable().is_signed() && trust.allow_unsigned);
  out.set_not_checked(!known);
  if (!known) return;
  const bool vouched = file.slot_standing(index, trust) == SlotStanding::vouched;
  out.set_not_vouched(!vouched);
  if (vouched && adder) out.set_adder_name(name_of(adder->host, trust));
}

std::string with_size(ByteView bytes) {
  ByteWriter out;
  out.u16(static_cast<std::uint16_t>(bytes.size())).bytes(bytes);
  return text(out.view());
}

}  // namespace

HelperReport report_written(const FileWriter& writer) {
  HelperReport report;
  const ImmutablePart& immutable = writer.immutable();
  report.set_checkpoint_id(immutable.id.data(), immutable.id.size());
  report.set_suite(std::string(suite_word(immutable.suite)));
  report.set_exclusive(is_exclusive(immutable.suite));
  report.set_content(std::string(content_word(immutable.content)));
  report.set_file_size(writer.bytes_written());
  return report;
}

HelperReport report_file(const SealedFile& file) {
  HelperReport report;
  const ImmutablePart& immutable = file.immutable();
  report.set_checkpoint_id(text(immutable.id));
  report.set_file_size(file.size());
  report.set_suite(std::string(suite_word(immutable.suite)));
  report.set_exclusive(is_exclusive(immutable.suite));
  report.set_content(std::string(content_word(immutable.content)));
  report.set_chunk_size(static_cast<std::uint32_t>(immutable.chunk_size()));
  report.set_header_size(static_cast<std::uint32_t>(immutable.header_size()));
  report.set_generation(file.header().generation);
  report.set_created(immutable.created);
  report.set_restores(immutable.limits.restores);
  report.set_not_after(immutable.limits.not_after);
  if (immutable.is_signed()) report.set_origin(text(immutable.origin));
  report.set_origin_name(file.origin_name());
  report.set_changer_name(file.changer_name());
  report.set_warnings(static_cast<std::uint32_t>(file.warnings().size()));
  report_change(file.header(), report);
  if (immutable.has_parent()) report.set_parent(text(immutable.parent));
  report.set_depth(immutable.depth);
  report.set_slot_count(static_cast<std::uint32_t>(file.header().slots.size()));
  return report;
}

void report_slots(const SealedFile& file, const ReaderTrust& trust,
                  const std::function<bool(const SlotBody&)>& describes, HelperReport& report) {
  const std::vector<Slot>& slots = file.header().slots;
  std::size_t room = most_reported_slots;
  for (std::size_t i = 0; i < slots.size() && room > 0; ++i) {
    if (describes && !describes(slots[i].body)) continue;
    proto::SlotReport& out = *report.add_slots();
    out.set_index(static_cast<std::uint32_t>(i));
    describe(slots[i].body, file.immutable().checkpoint(), out);
    describe_adder(file, i, trust, out);
    room -= std::min<std::size_t>(room, 1 + static_cast<std::size_t>(out.shares_size()));
  }
}

void report_images(const UnlockedFile& file, HelperReport& report) {
  report.set_image_count(file.images().size());
  report.set_content_bytes(file.content_bytes());
  for (const ImageInfo& image : file.images()) {
    if (static_cast<std::size_t>(report.images_size()) == most_reported_images) break;
    proto::ImageReport& out = *report.add_images();
    out.set_name(image.name);
    out.set_length(image.length);
  }
}

Status report_exported_slot(const SealedFile& file, std::size_t index, HelperReport& report) {
  const std::vector<Slot>& slots = file.header().slots;
  if (index >= slots.size() ||
      slots[index].body.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) {
    return Error{Code::usage, fmt::format("it has no TPM slot with the number {}", index), 0};
  }
  CKPTSEAL_ASSIGN(const Tpm2Slot slot,
                  Tpm2Slot::parse(slots[index].body.bytes, file.immutable().checkpoint()));
  proto::ExportedSlot& out = *report.mutable_exported_slot();
  out.set_public_area(with_size(slot.object.public_area));
  out.set_duplicate(with_size(slot.object.duplicate));
  out.set_seed(with_size(slot.object.seed));
  return {};
}

}  // namespace ckptseal
