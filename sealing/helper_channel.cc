// SPDX-License-Identifier: Apache-2.0
//
// The helper's end: what it tells its parent, and asks of it.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "sealing/helper.h"
#include "sealing/helper_messages.h"

namespace ckptseal {
namespace {

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Status HelperChannel::send(const proto::FromHelper& message) {
  return send_frame(socket_, message.SerializeAsString());
}

Status HelperChannel::progress(std::uint64_t done, std::uint64_t total) {
  const std::int64_t now = now_ms();
  if (now - last_progress_ms_ < 50) return {};
  last_progress_ms_ = now;
  proto::FromHelper message;
  message.mutable_progress()->set_done(done);
  message.mutable_progress()->set_total(total);
  return send(message);
}

Status HelperChannel::warn(const std::string& clause) {
  proto::FromHelper message;
  message.set_warning(clause);
  return send(message);
}

Status HelperChannel::tpm_done() {
  proto::FromHelper message;
  message.set_tpm_done(true);
  return send(message);
}

Status HelperChannel::authentic(const CheckpointId& id, const Digest& origin) {
  proto::FromHelper message;
  message.mutable_authentic()->set_checkpoint_id(id.data(), id.size());
  message.mutable_authentic()->set_origin(origin.data(), origin.size());
  return send(message);
}

Result<proto::ToHelper> HelperChannel::ask(const proto::FromHelper& message) {
  CKPTSEAL_TRY(send(message));
  for (;;) {
    CKPTSEAL_ASSIGN(const std::optional<Bytes> frame, receive_frame(socket_));
    proto::ToHelper answer;
    if (!frame || !parse_message(answer, *frame))
      return Error{Code::failed, "The parent is gone.", 0};
    if (answer.has_failure()) return to_error(answer.failure());
    // It crossed the question; who asks something is not waiting for it any more.
    if (!answer.has_finish()) return answer;
  }
}

Status HelperChannel::confirm_input() {
  proto::FromHelper message;
  message.set_input_ended(true);
  const Result<proto::ToHelper> answer = ask(message);
  return answer.ok() ? Status() : Status(answer.error());
}

Status HelperChannel::count_use(const UseRequest& use) {
  proto::FromHelper message;
  proto::UseRequest& request = *message.mutable_count_use();
  request.set_key(use.key.data(), use.key.size());
  request.set_restores(use.restores);
  request.set_created(use.created);
  CKPTSEAL_ASSIGN(const proto::ToHelper answer, ask(message));
  if (answer.confirmed()) return {};
  return Error{Code::failed, "The use was not counted.", 0};
}

Status HelperChannel::start_peer() {
  proto::FromHelper message;
  message.set_start_peer(true);
  const Result<proto::ToHelper> answer = ask(message);
  return answer.ok() ? Status() : Status(answer.error());
}

Status HelperChannel::stop_reader() {
  proto::FromHelper message;
  message.set_stop_reader(true);
  const Result<proto::ToHelper> answer = ask(message);
  return answer.ok() ? Status() : Status(answer.error());
}

Result<bool> HelperChannel::finish_asked() {
  CKPTSEAL_ASSIGN(const std::optional<Bytes> frame, receive_frame(socket_));
  proto::ToHelper message;
  if (!frame || !parse_message(message, *frame))
    return Error{Code::failed, "The parent is gone.", 0};
  if (message.has_failure()) return to_error(message.failure());
  return message.has_finish();
}

Result<EcdsaSignature> HelperChannel::sign(const Digest& digest) {
  proto::FromHelper message;
  message.set_sign_digest(digest.data(), digest.size());
  CKPTSEAL_ASSIGN(const proto::ToHelper answer, ask(message));
  EcdsaSignature signature{};
  if (answer.signature().size() != signature.size()) {
    return Error{Code::failed, "The signature has a wrong length.", 0};
  }
  std::copy(answer.signature().begin(), answer.signature().end(), signature.begin());
  return signature;
}

Result<Bytes> HelperChannel::approve(ByteView request) {
  proto::FromHelper message;
  message.set_online_request(request.data(), request.size());
  CKPTSEAL_ASSIGN(const proto::ToHelper answer, ask(message));
  const ByteView bytes = as_bytes(answer.online_answer());
  if (!answer.has_online_answer() || bytes.size() > largest_approval) {
    return Error{Code::failed, "The answer of the approver has a wrong length.", 0};
  }
  return Bytes(bytes.begin(), bytes.end());
}

Status HelperChannel::report(HelperReport report) {
  proto::FromHelper message;
  *message.mutable_report() = std::move(report);
  return send(message);
}

Status HelperChannel::fail(const Error& error) {
  proto::FromHelper message;
  set_failure(*message.mutable_failure(), error);
  return send(message);
}

}  // namespace ckptseal
