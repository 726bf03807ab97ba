// SPDX-License-Identifier: Apache-2.0
//
// Opening, verifying and inspecting in the helper, in the order of docs/format.md, "Reading".
#include <fmt/format.h>

#include "base/fd.h"
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

// Steps 4 to 6, the last part of them in the sandbox. `file` must outlive what comes out.
Result<UnlockedFile> unlock(const SealedFile& file, const ReadJob& job, HelperReport& report,
                            HelperChannel& channel) {
  CKPTSEAL_ASSIGN(const UnlockedSlot slot, find_key(file, job, channel));
  CKPTSEAL_TRY(channel.tpm_done());
  CKPTSEAL_TRY(enter_sandbox());
  CKPTSEAL_ASSIGN(UnlockedFile unlocked, UnlockedFile::open(file, slot, job.origins, job.now));
  report.set_opened_slot(static_cast<std::uint32_t>(slot.index));
  report_images(unlocked, report);
  return unlocked;
}

// Gives every chunk of every image, verified, to `take`.
template <typename Take>
Status read_all(const UnlockedFile& unlocked, Workers& workers, HelperChannel& channel, Take take) {
  std::uint64_t done = 0;
  for (const ImageInfo& image : unlocked.images()) {
    CKPTSEAL_ASSIGN(auto reader, unlocked.read_image(image, &workers));
    for (;;) {
      CKPTSEAL_ASSIGN(const MutableByteView chunk, reader.next());
      if (chunk.empty()) break;
      CKPTSEAL_TRY(take(chunk));
      done += chunk.size();
      CKPTSEAL_TRY(channel.progress(done, unlocked.content_bytes()));
    }
  }
  return {};
}

Result<HelperReport> inspect(const ReadJob& job, std::optional<std::size_t> export_slot,
                             HelperChannel& channel) {
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(job.sealed_fd));
  CKPTSEAL_TRY(send_warnings(file, channel));
  const Result<SignatureState> origin = file.verify_origin(job.origins, true);
  if (!origin.ok() && origin.error().code != Code::untrusted) return origin.error();
  CKPTSEAL_TRY(file.hash_manifest());
  HelperReport report = report_file(file);
  report.set_signature_verified(origin.ok() && origin.value() == SignatureState::good);
  if (export_slot) CKPTSEAL_TRY(report_exported_slot(file, *export_slot, report));
  if (job.identities) {
    CKPTSEAL_ASSIGN(const UnlockedFile unlocked, unlock(file, job, report, channel));
  }
  return report;
}

Result<HelperReport> verify(const ReadJob& job, bool key_is_optional, HelperChannel& channel) {
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(job.sealed_fd));
  CKPTSEAL_ASSIGN(const SignatureState origin, file.verify_origin(job.origins, job.allow_unsigned));
  HelperReport report = report_file(file);
  report.set_signature_verified(origin == SignatureState::good);
  CKPTSEAL_TRY(send_warnings(file, channel));
  if (file.header_copy_damaged()) {
    return Error{Code::integrity, "one of its header copies is damaged", 0};
  }
  if (!job.identities) return report;
  Workers workers(Workers::usual_count());
  Result<UnlockedFile> unlocked = unlock(file, job, report, channel);
  if (!unlocked.ok()) {
    if (key_is_optional && unlocked.error().code == Code::no_slot) return report;
    return std::move(unlocked).error();
  }
  CKPTSEAL_TRY(read_all(unlocked.value(), workers, channel, [](ByteView) { return Status(); }));
  report.set_chunks_verified(true);
  return report;
}

Result<HelperReport> open(const ReadJob& job, Content expected, int output_fd,
                          HelperChannel& channel) {
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(job.sealed_fd));
  CKPTSEAL_TRY(send_warnings(file, channel));
  CKPTSEAL_ASSIGN(const SignatureState origin, file.verify_origin(job.origins, job.allow_unsigned));
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
  CKPTSEAL_TRY(count_use(file, channel));
  CKPTSEAL_TRY(read_all(unlocked, workers, channel,
                        [&](ByteView chunk) { return write_full(output_fd, chunk); }));
  report.set_chunks_verified(true);
  return report;
}

}  // namespace

Result<HelperReport> inspect_in_helper(const ReadJob& job, std::optional<std::size_t> export_slot,
                                       const HelperEvents& events) {
  return run_in_helper(
      descriptors_of(job),
      [&](HelperChannel& channel) { return inspect(job, export_slot, channel); }, events);
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
