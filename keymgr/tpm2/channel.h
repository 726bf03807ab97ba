// SPDX-License-Identifier: Apache-2.0
//
// How the bytes of one command reach a TPM and those of its answer come back, each with a deadline.
// Internal to keymgr/tpm2: tcti.cc checks the frames of what comes through here.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

using Deadline = std::chrono::steady_clock::time_point;

// The largest command or answer of a TPM 2.0: what TPM2_PT_MAX_RESPONSE_SIZE is on known TPMs.
inline constexpr std::size_t largest_tpm_frame = 4096;
inline constexpr std::size_t tpm_header_size = 10;

class TpmChannel {
 public:
  virtual ~TpmChannel() = default;

  // Both: Code::unavailable when the TPM is gone or the deadline passes. send() begins one exchange
  // and receive() ends it; it returns what came, at most largest_tpm_frame bytes, unchecked.
  virtual Status send(ByteView command, Deadline deadline) = 0;
  virtual Result<Bytes> receive(Deadline deadline) = 0;
  // True when a new exchange is independent of one that failed, so that one more can be tried to
  // give back what the TPM still holds for us.
  virtual bool restartable() const = 0;
};

// "path=SOCKET" or "host=H,port=P" of a swtpm. `name` is the whole TCTI string, for errors.
Result<std::unique_ptr<TpmChannel>> open_swtpm_channel(const std::string& config,
                                                       const std::string& name);
// Any other TCTI that the loader of the TSS finds and that can be waited for with a bound.
Result<std::unique_ptr<TpmChannel>> open_loaded_channel(const std::string& tcti);

// The deadline as poll(2) takes it: at least 0.
int milliseconds_left(Deadline deadline);

Error tpm_does_not_answer(const std::string& name);
Error tpm_went_away(const std::string& name, int errno_value);

}  // namespace ckptseal
