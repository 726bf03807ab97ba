// SPDX-License-Identifier: Apache-2.0
//
// Runs the command of --approver, which turns a request for online approval into an answer:
// docs/policies.md, "Online approval". Nothing secret goes there, and what comes back is read in
// the helper.
#pragma once

#include <chrono>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

class EndingSignals;

struct Approver {
  std::string command;  // for /bin/sh -c
  std::chrono::seconds timeout{60};
  EndingSignals* signals = nullptr;  // held ones that end the waiting; its error has cause EINTR
};

// What the command wrote, at most 4096 bytes. It has no terminal, and nothing of it is left when
// this returns. Code::revoked when it ends with 6; Code::unavailable when it fails otherwise, takes
// longer than the timeout or writes more.
Result<Bytes> ask_approver(const Approver& approver, ByteView request);

}  // namespace ckptseal
