// SPDX-License-Identifier: Apache-2.0
//
// Sealing in the helper: one stream of content becomes the one image of the file.
#include "base/fd.h"
#include "sealing/jobs.h"
#include "sealing/report.h"
#include "sealing/sandbox.h"

#include <unistd.h>

#include <cerrno>

namespace ckptseal {
namespace {

Result<std::uint64_t> copy_content(const SealJob& job, FileWriter::Image& image,
                                   HelperChannel& channel) {
  std::uint64_t total = 0;
  for (;;) {
    const MutableByteView space = image.space();
    const ssize_t n = read(job.input_fd, space.data(), space.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("Cannot read the input", errno);
    if (n == 0) return total;
    CKPTSEAL_TRY(image.put(static_cast<std::size_t>(n)));
    total += static_cast<std::uint64_t>(n);
    CKPTSEAL_TRY(channel.progress(total, job.input_size));
  }
}

Result<HelperReport> seal(const SealJob& job, HelperChannel& channel) {
  CKPTSEAL_ASSIGN(const auto recipients, job.recipients());
  CKPTSEAL_ASSIGN(FileWriter writer,
                  FileWriter::start(job.output_fd, job.spool_fd, job.options, recipients));
  CKPTSEAL_TRY(enter_sandbox());
  const bool tree = job.options.content == Content::tree;
  CKPTSEAL_ASSIGN(FileWriter::Image image,
                  writer.add_image(std::string(tree ? tree_image_name : stream_image_name)));
  CKPTSEAL_ASSIGN(const std::uint64_t total, copy_content(job, image, channel));
  CKPTSEAL_TRY(channel.confirm_input());
  if (total == 0 && job.refuse_empty) {
    return Error{
        Code::failed,
        "The input is empty, as when the program that makes it has failed; if it is meant, "
        "say --allow-empty.",
        0};
  }
  CKPTSEAL_TRY(image.finish());
  if (job.announce) CKPTSEAL_TRY(job.announce());
  CKPTSEAL_TRY(writer.finish([&](const Digest& digest) { return channel.sign(digest); }));

  HelperReport report = report_written(writer);
  report.set_content_bytes(total);
  return report;
}

}  // namespace

Result<HelperReport> seal_in_helper(const SealJob& job, const HelperEvents& events) {
  std::vector<int> descriptors = job.descriptors;
  descriptors.insert(descriptors.end(), {job.input_fd, job.output_fd, job.spool_fd});
  return run_in_helper(
      descriptors, [&](HelperChannel& channel) { return seal(job, channel); }, events);
}

}  // namespace ckptseal
