// SPDX-License-Identifier: Apache-2.0
//
// Dumps a process tree through stock CRIU into a sealed checkpoint: CRIU streams its images to the
// helper, and the tasks end only after the sealed file is durable. docs/criu.md, "Dump".
#pragma once

#include "criu/criu_run.h"
#include "sealing/jobs.h"

namespace ckptseal {

struct DumpJob {
  pid_t tree = -1;      // the first process
  CriuSetup criu;       // its verb and arguments as for a dump
  int output_fd = -1;   // written from its current position
  int spool_fd = -1;    // empty file for ciphertext
  SealOptions options;  // its content becomes criu
  RecipientFactory recipients;
  std::vector<int> descriptors;  // what the factory needs
  // Makes the output durable and gives it its name.
  std::function<Status(const HelperReport&)> commit;
};

// First refuses what a stream cannot carry (criu/refuse.h). Success: the file was committed and
// CRIU ended well. An error before the commit leaves the tasks running and no file; one after it,
// which says so, leaves the file. Code::failed with cause EINTR when one of criu.signals came
// before the commit.
Result<HelperReport> dump(const DumpJob& job, const HelperEvents& events);

}  // namespace ckptseal
