// SPDX-License-Identifier: Apache-2.0
//
// The way to a hardware TPM, through a TCTI that the loader of the TSS finds. Those of the device
// and of the resource manager give a descriptor to poll, so that every wait has a bound.
#include <fmt/format.h>
#include <poll.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "keymgr/tpm2/channel.h"

namespace ckptseal {
namespace {

struct FinalizeTcti {
  void operator()(TSS2_TCTI_CONTEXT* context) const { Tss2_TctiLdr_Finalize(&context); }
};
using TctiPointer = std::unique_ptr<TSS2_TCTI_CONTEXT, FinalizeTcti>;

// The TSS's macros for these calls cast in C's way.
const TSS2_TCTI_CONTEXT_COMMON_V1& calls(const TctiPointer& tcti) {
  return *reinterpret_cast<const TSS2_TCTI_CONTEXT_COMMON_V1*>(tcti.get());
}

class LoadedChannel : public TpmChannel {
 public:
  LoadedChannel(std::string name, TctiPointer tcti)
      : name_(std::move(name)), tcti_(std::move(tcti)) {}

  Status send(ByteView command, Deadline deadline) override;
  Result<Bytes> receive(Deadline deadline) override;
  // A device that failed holds an unfinished exchange; its resource manager flushes when it closes.
  bool restartable() const override { return false; }

 private:
  Status wait(Deadline deadline) const;
  Error failed(TSS2_RC code) const;

  std::string name_;
  TctiPointer tcti_;
};

Error LoadedChannel::failed(TSS2_RC code) const {
  Error error = tpm_went_away(name_, EIO);
  error.cause = code;
  return error;
}

Status LoadedChannel::send(ByteView command, Deadline) {
  const TSS2_RC code = calls(tcti_).transmit(tcti_.get(), command.size(), command.data());
  if (code != TSS2_RC_SUCCESS) return failed(code);
  return {};
}

Status LoadedChannel::wait(Deadline deadline) const {
  std::array<TSS2_TCTI_POLL_HANDLE, 4> handles{};
  std::size_t count = handles.size();
  const TSS2_RC code = calls(tcti_).getPollHandles(tcti_.get(), handles.data(), &count);
  if (code != TSS2_RC_SUCCESS) return failed(code);
  for (;;) {
    const int ready = poll(handles.data(), count, milliseconds_left(deadline));
    if (ready > 0) return {};
    if (ready == 0) return tpm_does_not_answer(name_);
    if (errno != EINTR) return tpm_went_away(name_, errno);
  }
}

Result<Bytes> LoadedChannel::receive(Deadline deadline) {
  Bytes answer(largest_tpm_frame);
  for (;;) {
    CKPTSEAL_TRY(wait(deadline));
    std::size_t size = answer.size();
    const TSS2_RC code =
        calls(tcti_).receive(tcti_.get(), &size, answer.data(), milliseconds_left(deadline));
    if (code == TSS2_TCTI_RC_TRY_AGAIN && milliseconds_left(deadline) > 0) continue;
    if (code == TSS2_TCTI_RC_TRY_AGAIN) return tpm_does_not_answer(name_);
    if (code != TSS2_RC_SUCCESS || size > answer.size()) return failed(code);
    answer.resize(size);
    return answer;
  }
}

// The loader's own code does not tell an absent device from a forbidden one.
Status check_device(const std::string& tcti) {
  constexpr std::string_view scheme = "device:";
  if (!tcti.starts_with(scheme)) return {};
  const std::string path = tcti.substr(scheme.size());
  if (access(path.c_str(), R_OK | W_OK) == 0) return {};
  const int error = errno;
  if (error == EACCES) {
    return Error{Code::unavailable,
                 fmt::format("The TPM at {} may not be used by this user: run as root or join the "
                             "group of the device.",
                             path),
                 EACCES};
  }
  return Error{Code::unavailable,
               fmt::format("There is no TPM at {}: switch it on in the firmware, or name another "
                           "with --tpm (--tpm soft starts a software TPM).",
                           path),
               static_cast<std::uint32_t>(error)};
}

}  // namespace

Result<std::unique_ptr<TpmChannel>> open_loaded_channel(const std::string& tcti) {
  CKPTSEAL_TRY(check_device(tcti));
  TSS2_TCTI_CONTEXT* raw = nullptr;
  const TSS2_RC code = Tss2_TctiLdr_Initialize(tcti.c_str(), &raw);
  if (code != TSS2_RC_SUCCESS) {
    return Error{Code::unavailable,
                 fmt::format("The TPM {} cannot be opened: it is in use, gone, or its TCTI library "
                             "is not installed; see ckpt-seal doctor.",
                             tcti),
                 code};
  }
  return std::unique_ptr<TpmChannel>(std::make_unique<LoadedChannel>(tcti, TctiPointer(raw)));
}

}  // namespace ckptseal
