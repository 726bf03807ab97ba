// SPDX-License-Identifier: Apache-2.0
//
// Runs work on a sealed checkpoint in a forked, hardened child: it parses, unseals, encrypts and
// decrypts, and the data key is nowhere else. The parent hears of progress, signs digests with the
// host's TPM, and gets a report. docs/architecture.md, "The helper".
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/crypto.h"
#include "base/result.h"
#include "keymgr/recipient.h"
#include "proto/helper.pb.h"

namespace ckptseal {

using HelperReport = proto::HelperReport;

// A use of a checkpoint that may have `restores` of them, not 0.
struct UseRequest {
  UseKey key{};
  std::uint32_t restores = 0;
  std::uint64_t created = 0;
};

// The helper's end.
class HelperChannel {
 public:
  explicit HelperChannel(int socket) : socket_(socket) {}

  // Sent on at most every 50 ms; `total` 0 if it is not known.
  Status progress(std::uint64_t done, std::uint64_t total);
  Status warn(const std::string& clause);
  Status tpm_done();
  // Only behind a signature of a trusted host that was verified.
  Status authentic(const CheckpointId& id, const Digest& origin);
  Result<EcdsaSignature> sign(const Digest& digest);
  // Returns success once the use is written down, for good; else no content may be given out.
  Status count_use(const UseRequest& use);
  // Asks for an online approval. What comes back was read by nobody yet.
  Result<Bytes> approve(ByteView request);
  // Asks whether whoever made the input ended well, for the end of a pipe does not say.
  Status confirm_input();
  // Returns once whoever connects to the helper was started: everything is ready for it.
  Status start_peer();
  // Returns once whoever reads from the helper's pipes has ended, so that these can close: a reader
  // may take the end of a pipe for the end of its input.
  Status stop_reader();
  // Where finish_asked() reads: to be polled.
  int fd() const { return socket_; }
  // What the parent says by itself, HelperEvents::outside; its error is the outside's.
  Result<bool> finish_asked();
  Status report(HelperReport report);
  Status fail(const Error& error);

 private:
  Status send(const proto::FromHelper& message);
  Result<proto::ToHelper> ask(const proto::FromHelper& message);

  int socket_;
  std::int64_t last_progress_ms_ = 0;
};

// What the parent does meanwhile; empty ones are left out.
struct HelperEvents {
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
  std::function<void(const std::string& clause)> warning;
  std::function<void()> tpm_done;
  std::function<void(const proto::Authentic&)> authentic;  // of the right lengths
  std::function<Result<EcdsaSignature>(const Digest&)> sign;
  std::function<Status(const UseRequest&)> count_use;  // left out: what is limited is refused
  std::function<Result<Bytes>(ByteView request)> approve;
  std::function<Status()> input_ended;
  std::function<Status()> start_peer;
  std::function<Status()> stop_reader;
  // Called whenever `outside_fd` can be read, until it returns true: then the helper is told to
  // finish. An error of it is told to the helper, which ends with it unless it failed by itself
  // first. Not called any more once stop_reader was.
  int outside_fd = -1;
  std::function<Result<bool>()> outside;
};

// `body` runs in the helper, hardened from its first line (harden_process); it calls
// enter_sandbox() itself, once it needs no TPM any more. `descriptors` are all it may use beside 0
// to 2. Code::failed when the helper is killed; it and everything it held is then gone.
Result<HelperReport> run_in_helper(std::span<const int> descriptors,
                                   const std::function<Result<HelperReport>(HelperChannel&)>& body,
                                   const HelperEvents& events);

}  // namespace ckptseal
