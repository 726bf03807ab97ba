// SPDX-License-Identifier: Apache-2.0
//
// The way to a TPM, opened by a TCTI string. It bounds every wait, checks the frame of every answer
// before anything parses it, and counts the commands. After the TPM hung, went away or answered
// rubbish nothing more is asked of it: every later call fails at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace ckptseal {

class TpmChannel;

class TpmConnection {
 public:
  static constexpr std::chrono::milliseconds standard_timeout{30'000};

  // `tcti`: "swtpm:path=SOCKET", "swtpm:host=H,port=P", "device:/dev/tpmrm0"; empty means
  // device:/dev/tpmrm0. `timeout` bounds the wait for each answer. Code::unavailable when there is
  // no TPM, Code::usage for a string that names none.
  static Result<TpmConnection> open(const std::string& tcti,
                                    std::chrono::milliseconds timeout = standard_timeout);

  // The same over a channel that is open; `name` is for errors.
  static TpmConnection over(std::unique_ptr<TpmChannel> channel, const std::string& name,
                            std::chrono::milliseconds timeout = standard_timeout);

  TpmConnection(TpmConnection&&) noexcept;
  TpmConnection& operator=(TpmConnection&&) noexcept;
  ~TpmConnection();

  // The TPM2_CC codes of the commands sent since the connection was made or forgotten, in order.
  const std::vector<std::uint32_t>& commands() const;
  void forget_commands();
  // True once the TPM hung, went away or answered rubbish.
  bool dead() const;

  // For the other files of keymgr/tpm2 only: what esys_internal.h completes.
  struct Transport;
  Transport& transport() const { return *transport_; }

 private:
  explicit TpmConnection(std::unique_ptr<Transport> transport);

  std::unique_ptr<Transport> transport_;
};

// "PolicyAuthorize" for TPM2_CC_PolicyAuthorize; the number for one that ckpt-seal does not send.
std::string command_name(std::uint32_t code);

}  // namespace ckptseal
