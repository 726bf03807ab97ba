// SPDX-License-Identifier: Apache-2.0
//
// The order of things: signature, slot and key in the helper, CRIU starts and connects, the
// manifest is verified, images flow, post-restore asks, the rest is verified, post-restore
// succeeds.
#include "restore/restore.h"

#include <fmt/format.h>

#include "base/step.h"
#include "criu/sealed_images.h"
#include "criu/serve.h"
#include "criu/stream_listener.h"
#include "sealing/limits.h"
#include "sealing/report.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

// After CRIU is gone: until then no pipe may close, and this holds them.
Error after_criu(Error error, HelperChannel& channel) {
  (void)channel.stop_reader();
  return error;
}

Status serve_images(const UnlockedFile& unlocked, Workers& workers, int connection,
                    HelperChannel& channel) {
  UnlockedFileSource source(unlocked, workers);
  const ServeOutcome outcome =
      serve(connection, control_of(channel, unlocked.content_bytes()), source);
  if (!outcome.status.ok()) return after_criu(outcome.status.error(), channel);
  return {};
}

Result<HelperReport> serve_file(const RestoreJob& job, int listener, HelperChannel& channel) {
  reached("restore: the helper is hardened");
  const ReadJob& read = job.read;
  CKPTSEAL_ASSIGN(SealedFile file, SealedFile::open(read.sealed_fd));
  for (const std::string& clause : file.warnings()) CKPTSEAL_TRY(channel.warn(clause));
  ReaderTrust trust = read.trust();
  trust.allow_unsigned = false;
  CKPTSEAL_TRY(file.verify_origin(trust));
  reached("restore: the signature is verified");
  CKPTSEAL_TRY(channel.authentic(file.immutable().id, file.immutable().origin));
  // Not before the signature is good: a changed content is damage, and no mistake of the user's.
  if (file.immutable().content != Content::criu) {
    return Error{Code::usage,
                 fmt::format("it holds {}, no process tree: only what 'ckpt-seal dump' made is "
                             "restored",
                             content_word(file.immutable().content)),
                 0};
  }
  HelperReport report = report_file(file);
  report.set_signature_verified(true);
  CKPTSEAL_ASSIGN(const UnlockedSlot slot, find_key(file, read, channel));
  CKPTSEAL_TRY(channel.tpm_done());
  reached("restore: the key is released");
  CKPTSEAL_TRY(channel.start_peer());
  CKPTSEAL_ASSIGN(const UniqueFd connection, accept_stream(listener, channel));
  reached("restore: CRIU is connected");
  Workers workers(Workers::usual_count());
  CKPTSEAL_TRY(enter_sandbox());
  reached("restore: the helper is in its sandbox");
  const Result<UnlockedFile> unlocked = UnlockedFile::open(file, slot);
  if (!unlocked.ok()) return after_criu(unlocked.error(), channel);
  if (const Status alone = unlocked.value().check_alone(); !alone.ok()) {
    return after_criu(alone.error(), channel);
  }
  reached("restore: the manifest is verified");
  if (const Status counted = count_use(file, channel); !counted.ok()) {
    return after_criu(counted.error(), channel);
  }
  report.set_opened_slot(static_cast<std::uint32_t>(slot.index));
  report_images(unlocked.value(), report);
  CKPTSEAL_TRY(serve_images(unlocked.value(), workers, connection.get(), channel));
  reached("restore: the rest is verified");
  report.set_chunks_verified(true);
  return report;
}

}  // namespace

Result<Restored> restore(const RestoreJob& job, const HelperEvents& events) {
  CKPTSEAL_ASSIGN(const std::unique_ptr<CriuRun> criu, CriuRun::prepare(job.criu));
  HelperEvents all = events;
  all.start_peer = [&] {
    Status started = criu->start();
    reached("restore: CRIU is started");
    return started;
  };
  all.stop_reader = [&] {
    criu->end(std::chrono::milliseconds(0));
    return Status();
  };
  all.outside_fd = criu->event_fd();
  all.outside = [&] {
    Result<bool> asked = criu->event();
    // CRIU goes before the helper does, whose end closes the pipes.
    if (!asked.ok()) criu->end(std::chrono::milliseconds(0));
    if (asked.ok() && asked.value()) reached("restore: post-restore asks");
    return asked;
  };
  all.progress = [&](std::uint64_t done, std::uint64_t total) {
    criu->alive();
    if (events.progress) events.progress(done, total);
  };
  std::vector<int> descriptors = job.read.descriptors;
  descriptors.insert(descriptors.end(), {job.read.sealed_fd, criu->stream_listener()});
  const int listener = criu->stream_listener();
  Result<HelperReport> served = run_in_helper(
      descriptors, [&](HelperChannel& channel) { return serve_file(job, listener, channel); }, all);
  if (!served.ok()) {
    criu->end(std::chrono::milliseconds(0));
    return criu->explain(served.error());
  }
  // The last moment: after it a signal is for the tasks.
  if (Status signals = criu->check_signals(); !signals.ok()) {
    criu->end(std::chrono::milliseconds(0));
    return signals.error();
  }
  reached("restore: the tasks are about to run");
  if (Status ended = criu->go_on(); !ended.ok()) {
    criu->end(std::chrono::milliseconds(0));
    return ended.error();
  }
  CKPTSEAL_ASSIGN(const pid_t first, criu->first_task());
  reached("restore: the first task is known");
  return Restored{std::move(served).value(), first};
}

}  // namespace ckptseal
