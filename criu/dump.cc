// SPDX-License-Identifier: Apache-2.0
//
// The order of things: the helper is ready, CRIU starts and connects, images flow, post-dump asks,
// the file is completed and committed, post-dump succeeds, CRIU ends the tasks.
#include "criu/dump.h"

#include <fmt/format.h>

#include "base/ending_signals.h"
#include "base/step.h"
#include "criu/capture.h"
#include "criu/refuse.h"
#include "criu/sealed_images.h"
#include "criu/stream_listener.h"
#include "sealing/report.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

Result<HelperReport> seal_stream(const DumpJob& job, int listener, HelperChannel& channel) {
  reached("dump: the helper is hardened");
  CKPTSEAL_ASSIGN(const auto recipients, job.recipients());
  SealOptions options = job.options;
  options.content = Content::criu;
  CKPTSEAL_ASSIGN(FileWriter writer,
                  FileWriter::start(job.output_fd, job.spool_fd, options, recipients));
  reached("dump: the slots are wrapped");
  ignore_terminal_stops();  // as below; until here a passphrase may be typed
  CKPTSEAL_TRY(channel.start_peer());
  CKPTSEAL_ASSIGN(const UniqueFd connection, accept_stream(listener, channel));
  reached("dump: CRIU is connected");
  CKPTSEAL_TRY(enter_sandbox());
  reached("dump: the helper is in its sandbox");
  FileWriterSink sink(writer);
  CKPTSEAL_ASSIGN(const CaptureReport captured,
                  capture(connection.get(), control_of(channel, 0), sink));
  CKPTSEAL_TRY(writer.finish([&](const Digest& digest) {
    reached("dump: the manifest is written");
    return channel.sign(digest);
  }));
  reached("dump: the file is complete");

  HelperReport report = report_written(writer);
  report.set_image_count(captured.images);
  report.set_content_bytes(captured.bytes);
  return report;
}

// A CRIU that has ended meanwhile has let the tasks go on: then there must be no file.
Status commit(const DumpJob& job, const HelperReport& report, CriuRun& criu) {
  reached("dump: the file is about to get its name");
  CKPTSEAL_TRY(criu.check_signals());
  CKPTSEAL_TRY(criu.check_waits());
  return job.commit(report);
}

}  // namespace

Result<HelperReport> dump(const DumpJob& job, const HelperEvents& events) {
  CKPTSEAL_TRY(refuse_what_a_stream_cannot_carry(job.tree));
  CKPTSEAL_ASSIGN(const std::unique_ptr<CriuRun> criu, CriuRun::prepare(job.criu));
  CKPTSEAL_TRY(criu->check_signals());
  HelperEvents all = events;
  all.start_peer = [&] {
    // Who is stopped holds CRIU up, and the tasks would stay frozen.
    ignore_terminal_stops();
    Status started = criu->start();
    reached("dump: CRIU is started");
    return started;
  };
  all.outside_fd = criu->event_fd();
  all.outside = [&] {
    Result<bool> asked = criu->event();
    if (asked.ok() && asked.value()) reached("dump: post-dump asks");
    return asked;
  };
  all.progress = [&](std::uint64_t done, std::uint64_t total) {
    criu->alive();
    if (events.progress) events.progress(done, total);
  };
  std::vector<int> descriptors = job.descriptors;
  descriptors.insert(descriptors.end(), {job.output_fd, job.spool_fd, criu->stream_listener()});
  const int listener = criu->stream_listener();
  Result<HelperReport> sealed = run_in_helper(
      descriptors, [&](HelperChannel& channel) { return seal_stream(job, listener, channel); },
      all);
  const Status committed =
      sealed.ok() ? commit(job, sealed.value(), *criu) : Status(sealed.error());
  if (!committed.ok()) {
    // CRIU hears of it through its hook or a broken pipe, and lets the tasks go on.
    criu->end(std::chrono::seconds(10));
    return criu->explain(committed.error());
  }
  reached("dump: the file has its name");
  const Status ended = criu->go_on();
  if (!ended.ok()) {
    return Error{
        Code::failed,
        fmt::format("The file is sealed, but the process may still run: {}", ended.error().message),
        0};
  }
  return sealed;
}

}  // namespace ckptseal
