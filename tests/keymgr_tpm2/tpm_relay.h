// SPDX-License-Identifier: Apache-2.0
//
// Stands between a program and its TPM and passes commands through until one at which it does what
// a test wants: answers rubbish, half an answer, nothing. A thread of the test; ends with it.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "base/fd.h"

namespace ckptseal::testing {

// Sends a command to a TPM, without waiting for anything, and leaves the answer in the socket. No
// socket when the TPM's queue is full.
UniqueFd queue_command(const std::string& tpm_socket, ByteView command);

class TpmRelay {
 public:
  // What to do with command number `number` (from 0): give the bytes to answer with, which may be
  // none. `ask` passes the command on to the TPM. An empty answer means silence: the socket stays
  // open until the other side gives up.
  using Behavior =
      std::function<Bytes(std::size_t number, ByteView command, const std::function<Bytes()>& ask)>;

  // `tpm_socket`: where the TPM listens.
  TpmRelay(std::string own_socket, std::string tpm_socket, Behavior behavior);
  ~TpmRelay();
  TpmRelay(const TpmRelay&) = delete;
  TpmRelay& operator=(const TpmRelay&) = delete;

  std::string tcti() const { return "swtpm:path=" + own_socket_; }

 private:
  void serve();
  void serve_one(int client);
  Bytes ask_tpm(ByteView command) const;

  std::string own_socket_;
  std::string tpm_socket_;
  Behavior behavior_;
  UniqueFd listener_;
  Pipe stop_;
  std::size_t number_ = 0;
  std::thread thread_;
};

}  // namespace ckptseal::testing
