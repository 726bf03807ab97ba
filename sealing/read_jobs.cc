// SPDX-License-Identifier: Apache-2.0
//
// Opening, verifying and inspecting in the helper, in the order of docs/format.md, "Reading".
#include <fmt/format.h>

#include "sealing/content_output.h"
#include "sealing/jobs.h"
#include "sealing/limits.h"
#include "sealing/report.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

std::vector<int> descriptors_of(const ReadJob& job) {
  std::vector<int> out = job.descriptors;
  out.push_back(job.sealed_fd);
  return out;
}

Status send_warnings(const SealedFile& file, HelperChannel& channel) {
  for (const std::string& clause : file.warnings()) CKPTSEAL_TRY(channel.warn(clause));
  return {};
}

// Steps 4 and 5, the last of them in the sandbox. `file` must outlive what comes out.
Result<UnlockedFile> unlock(const SealedFile& file, const ReadJob& job, HelperReport& report,
                            HelperChannel& channel) {
  CKPTSEAL_ASSIGN(const UnlockedSlot slot, find_key(file, job, channel));
  CKPTSEAL_TRY(channel.tpm_done());
  CKPTSEAL_TRY(enter_sandbox());
  CKPTSEAL_ASSIGN(UnlockedFile unlocked, UnlockedFile::open(file, slot));
  report.set_opened_slot(static_cast<std::uint32_t>(slot.index));
  report_images(unlocked, report);
  return unlocked;
}

// Gives every chunk of every image, verified, to `take`, and whether it is a hole.
template <typename Take>
Status read_all(const UnlockedFile& unlocked, Workers& workers, HelperChannel& channel, Take take) {
  std::uint64_t done = 0;
  for (const ImageInfo& image : unlocked.images()) {
    CKPTSEAL_ASSIGN(auto reader, unlocked.read_image(image, &workers));
    for (;;) {
      CKPTSEAL_ASSIGN(const MutableByteView chunk, reader.next());
      if (chunk.empty()) break;
      CKPTSEAL_TRY(take(chunk, reader.is_hole()));
      done += chunk.size();
      CKPTSEAL_TRY(channel.progress(done, unlocked.content_bytes()));
    }
  }
  return {};
}

Result<HelperReport> inspect(const InspectJob& inspection, HelperChannel& channel) {
  const ReadJob& job = inspection.read;
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(job.sealed_fd));
  CKPTSEAL_TRY(send_warnings(file, channel));
  ReaderTrust trust = job.trust();
  // Without a key nothing is done that wants trust.
  if (!job.identities) trust.allow_unsigned = true;
  const Result<SignatureState> origin = file.verify_origin(trust);
  if (!origin.ok() && (job.identities || origin.error().code != Code::untrusted)) {
    return origin.error();
  }
  HelperReport report = report_file(file);
  report_slots(file, job.trust(), inspection.describes, report);
  report.set_signature_verified(file.origin_verified());
  if (inspection.export_slot) {
    CKPTSEAL_TRY(report_exported_slot(file, *inspection.export_slot, report));
  }
  if (job.identities) {
    CKPTSEAL_ASSIGN(const UnlockedFile unlocked, unlock(file, job, report, channel));
  }
  return report;
}

// Of a check of the file: docs/format.md, "Reading".
Status check_vouched(const SealedFile& file, const ReaderTrust& trust) {
  for (std::size_t i = 0; i < file.header().slots.size(); ++i) {
    if (file.slot_standing(i, trust) == SlotStanding::vouched) continue;
    return Error{
        Code::integrity,
        fmt::format("nobody who is trusted here vouches for its slot {}, so it is not used; "
                    "'ckpt-seal inspect' shows who put it there",
                    i),
        0};
  }
  return {};
}

Result<HelperReport> verify(const ReadJob& job, bool key_is_optional, HelperChannel& channel) {
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(job.sealed_fd));
  CKPTSEAL_ASSIGN(const SignatureState origin, file.verify_origin(job.trust()));
  HelperReport report = report_file(file);
  report.set_signature_verified(origin == SignatureState::good);
  CKPTSEAL_TRY(send_warnings(file, channel));
  if (file.header_copy_damaged()) {
    return Error{Code::integrity, "one of its header copies is damaged", 0};
  }
  CKPTSEAL_TRY(check_vouched(file, job.trust()));
  if (!job.identities) return report;
  Workers workers(Workers::usual_count());
  Result<UnlockedFile> unlocked = unlock(file, job, report, channel);
  if (!unlocked.ok()) {
    if (key_is_optional && unlocked.error().code == Code::no_slot) return report;
    return std::move(unlocked).error();
  }
  CKPTSEAL_TRY(
      read_all(unlocked.value(), workers, channel, [](ByteView, bool) { return Status(); }));
  report.set_chunks_verified(true);
  return report;
}

Result<HelperReport> open(const ReadJob& job, Content expected, int output_fd,
                          HelperChannel& channel) {
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(job.sealed_fd));
  CKPTSEAL_TRY(send_warnings(file, channel));
  CKPTSEAL_ASSIGN(const SignatureState origin, file.verify_origin(job.trust()));
  if (file.immutable().content != expected) {
    return Error{Code::usage,
                 fmt::format("it holds {}, not {}", content_word(file.immutable().content),
                             content_word(expected)),
                 0};
  }
  HelperReport report = report_file(file);
  report.set_signature_verified(origin == SignatureState::good);
  Workers workers(Workers::usual_count());
  CKPTSEAL_ASSIGN(const UnlockedFile unlocked, unlock(file, job, report, channel));
  CKPTSEAL_TRY(unlocked.check_alone());
  CKPTSEAL_ASSIGN(ContentOutput output, ContentOutput::from_here_on(output_fd));
  CKPTSEAL_TRY(count_use(file, channel));
  CKPTSEAL_TRY(read_all(unlocked, workers, channel, [&](ByteView chunk, bool hole) {
    return hole ? output.write_hole(chunk) : output.write(chunk);
  }));
  CKPTSEAL_TRY(output.finish());
  report.set_chunks_verified(true);
  return report;
}

}  // namespace

Result<HelperReport> inspect_in_helper(const InspectJob& job, const HelperEvents& events) {
  return run_in_helper(
      descriptors_of(job.read), [&](HelperChannel& channel) { return inspect(job, channel); },
      events);
}

Result<HelperReport> verify_in_helper(const ReadJob& job, bool key_is_optional,
                                      const HelperEvents& events) {
  return run_in_helper(
      descriptors_of(job),
      [&](HelperChannel& channel) { return verify(job, key_is_optional, channel); }, events);
}

Result<HelperReport> open_in_helper(const ReadJob& job, Content expected, int output_fd,
                                    const HelperEvents& events) {
  std::vector<int> descriptors = descriptors_of(job);
  descriptors.push_back(output_fd);
  return run_in_helper(
      descriptors, [&](HelperChannel& channel) { return open(job, expected, output_fd, channel); },
      events);
}

}  // namespace ckptseal
